"""Find the user's app."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Final

from pyasynq.cli.exits import Exit, ExitError

if TYPE_CHECKING:
    from pyasynq.app import App

_OURS: Final = (__file__, importlib.__file__, "<frozen importlib")
"""Files whose frames tell the user nothing."""


class BrokenModuleError(ExitError):
    """The module of the app is there, and has an error in it."""

    def __init__(self, module: str, error: BaseException) -> None:
        """Show the traceback of *error* from the user's *module* down."""
        frames = _users_frames(error.__traceback__)
        lines = traceback.format_exception(type(error), error, frames)
        text = f"the module {module!r} cannot be imported\n{''.join(lines).rstrip()}"
        super().__init__(Exit.FAILED, text)


def load_app(place: str) -> "App":
    """Return the `App` at *place*, ``module:name``; the name is ``app`` when left out.

    Raises:
        ExitError: If there is no such module or name, or it is no App.
    """
    module_name, _, name = place.partition(":")
    _check_module_name(place, module_name, name)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return _app_in(_imported(module_name), name or "app")


def _check_module_name(place: str, module: str, name: str) -> None:
    if module and not module.startswith(".") and "/" not in module and not module.endswith(".py"):
        return
    likely = module.removesuffix(".py").strip("./").replace("/", ".")
    hint = f"did you mean {likely}:{name or 'app'}?" if likely else "name it as module:app"
    raise ExitError(Exit.USAGE, f"{place!r} names no module: {hint}")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise BrokenModuleError(name, error) from None  # something it needs is not there
        text = f"there is no module {name!r} here: name it as module:app"
        raise ExitError(Exit.NOT_FOUND, text) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code
        raise BrokenModuleError(name, error) from None


def _app_in(module: ModuleType, name: str) -> "App":
    from pyasynq.app import App

    app = getattr(module, name, None)
    if isinstance(app, App):
        return app
    apps = [known for known, value in vars(module).items() if isinstance(value, App)]
    there = f"there is {', '.join(apps)}" if apps else "there is none at all"
    text = f"{module.__name__!r} has no pyasynq.App called {name!r}; {there}"
    raise ExitError(Exit.NOT_FOUND, text)


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return *frames* from the first on that is the user's; None for an error in the syntax."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames
