"""Find the user's app."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyasynq.cli.exits import Exit, ExitError

if TYPE_CHECKING:
    from pyasynq.app import App


def load_app(place: str) -> "App":
    """Return the `App` at *place*, ``module:name``; the name is ``app`` when left out.

    Raises:
        ExitError: If there is no such module or name, or it is no App.
    """
    from pyasynq.app import App

    module_name, _, name = place.partition(":")
    if not module_name or module_name.startswith("."):
        raise ExitError(Exit.USAGE, f"{place!r} is no place: name it as module:app")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something it needs is not
        text = f"there is no module {module_name!r} here: name it as module:app"
        raise ExitError(Exit.NOT_FOUND, text) from error
    app = getattr(module, name or "app", None)
    if not isinstance(app, App):
        text = f"{module_name!r} has no pyasynq.App called {name or 'app'!r}"
        raise ExitError(Exit.NOT_FOUND, text)
    return app
