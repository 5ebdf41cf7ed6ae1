"""Find the user's app, or relay."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyasynq.cli.exits import Exit, ExitError

if TYPE_CHECKING:
    from pyasynq.app import App
    from pyasynq.outbox import Relay


def load_app(place: str) -> "App":
    """Return the `App` at *place*, ``module:name``; the name is ``app`` when left out.

    Raises:
        ExitError: If there is no such module or name, or it is no App.
    """
    from pyasynq.app import App

    app = _load(place, "app")
    if not isinstance(app, App):
        raise _not_found(place, "app", "pyasynq.App")
    return app


def load_relay(place: str) -> "Relay":
    """Return the `Relay` at *place*, ``module:name``; the name is ``relay`` when left out.

    Raises:
        ExitError: If there is no such module or name, it is no Relay, or SQLAlchemy is missing.
    """
    try:
        from pyasynq.outbox import Relay
    except ModuleNotFoundError as error:
        text = f"{error.name} is missing: pip install 'pyasynq[sqlalchemy]'"
        raise ExitError(Exit.FAILED, text) from error

    relay = _load(place, "relay")
    if not isinstance(relay, Relay):
        raise _not_found(place, "relay", "pyasynq.outbox.Relay")
    return relay


def _load(place: str, noun: str) -> object:
    """Return what is at *place*, or None; its name is *noun* when left out."""
    module_name, _, name = place.partition(":")
    if not module_name or module_name.startswith("."):
        raise ExitError(Exit.USAGE, f"{place!r} is no place: name it as module:{noun}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something it needs is not
        text = f"there is no module {module_name!r} here: name it as module:{noun}"
        raise ExitError(Exit.NOT_FOUND, text) from error
    return getattr(module, name or noun, None)


def _not_found(place: str, noun: str, kind: str) -> ExitError:
    module_name, _, name = place.partition(":")
    text = f"{module_name!r} has no {kind} called {name or noun!r}"
    return ExitError(Exit.NOT_FOUND, text)
