"""Load the user's app or relay."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.optional_deps import install_hint

if TYPE_CHECKING:
    from pyasynq.app import App
    from pyasynq.outbox.row_relay import RowRelay

T = TypeVar("T")

SQLALCHEMY: Final = "sqlalchemy"

_LOADERS: Final = (__file__, importlib.__file__, "<frozen importlib")
"""Files whose frames are left out of a traceback."""


class BrokenModuleError(ExitError):
    """Importing the module of the app or relay raises an error.

    Attributes:
        missing: The module that it imports and that is not installed; empty if none is.
    """

    def __init__(self, module: str, error: BaseException) -> None:
        """Show the traceback of *error*, from the first frame of the user's code."""
        self.missing: str = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        frames = _skip_loader_frames(error.__traceback__)
        lines = traceback.format_exception(type(error), error, frames)
        text = f"the module {module!r} cannot be imported\n{''.join(lines).rstrip()}"
        super().__init__(Exit.FAILED, text)


def load_app(place: str) -> "App":
    """Return the `App` at *place*, ``module:name``; the default of the name is ``app``.

    Raises:
        click.ClickException: If there is no such module or name, or it is no App.
    """
    from pyasynq.app import App

    return _load(place, "app", App, "pyasynq.App")


def load_relay(place: str) -> "RowRelay[Any]":
    """Return the relay at *place*, ``module:name``; the default of the name is ``relay``.

    Raises:
        click.ClickException: If there is no such module or name, it is no relay, or SQLAlchemy is
            missing.
    """
    from pyasynq.outbox.row_relay import RowRelay

    kind = cast("type[RowRelay[Any]]", RowRelay)  # it is abstract
    try:
        return _load(place, "relay", kind, "pyasynq.outbox.Relay")
    except BrokenModuleError as error:
        if error.missing.partition(".")[0] != SQLALCHEMY:
            raise
        text = f"{SQLALCHEMY} is missing: {install_hint(SQLALCHEMY)}"
        raise ExitError(Exit.FAILED, text) from error


def _load(place: str, noun: str, kind: type[T], kind_name: str) -> T:
    """Return the *kind* at *place*; the default of its name is *noun*."""
    from pyasynq.cli import logs

    module_name, _, name = place.partition(":")
    _check_module_name(place, noun)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module = _import(module_name, noun)
    logs.resume()
    found = getattr(module, name or noun, None)
    if isinstance(found, kind):
        return found
    others = [other for other, value in vars(module).items() if isinstance(value, kind)]
    there = f"there is {', '.join(others)}" if others else "there is none at all"
    text = f"{module_name!r} has no {kind_name} called {name or noun!r}; {there}"
    raise ExitError(Exit.NOT_FOUND, text)


def _check_module_name(place: str, noun: str) -> None:
    module, _, name = place.partition(":")
    if module and not module.startswith(".") and "/" not in module and not module.endswith(".py"):
        return
    likely = module.removesuffix(".py").strip("./").replace("/", ".")
    hint = f"did you mean {likely}:{name or noun}?" if likely else f"name it as module:{noun}"
    msg = f"{place!r} names no module: {hint}"
    raise click.UsageError(msg)


def _import(name: str, noun: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise BrokenModuleError(name, error) from None  # the module imports a missing one
        text = f"there is no module {name!r} here: name it as module:{noun}"
        raise ExitError(Exit.NOT_FOUND, text) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code
        raise BrokenModuleError(name, error) from None


def _skip_loader_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return *frames* from the first one of the user's code; None for a syntax error."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_LOADERS):
        frames = frames.tb_next
    return frames
