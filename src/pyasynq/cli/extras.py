"""Packages that only an extra brings."""

import importlib
from types import ModuleType

from pyasynq.cli.exits import Exit, ExitError


def need(module: str, extra: str, purpose: str, instead: str = "") -> ModuleType:
    """Return *module*, which *purpose* needs.

    Raises:
        ExitError: If it is not installed; the text says which *extra* brings it, or what helps
            *instead*.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        text = f"{purpose}: pip install 'pyasynq[{extra}]'{instead and ', or ' + instead}"
        raise ExitError(Exit.FAILED, text) from error
