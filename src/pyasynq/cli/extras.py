"""Packages that only an extra brings."""

import importlib

from pyasynq.cli.exits import Exit, ExitError


def need(package: str, extra: str, purpose: str, instead: str = "") -> None:
    """Return if *package*, which *purpose* needs, is installed.

    Raises:
        ExitError: If it is not; the text says which *extra* brings it, or what helps *instead*.
    """
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise
        text = f"{purpose}: {hint(extra)}{instead and ', or ' + instead}"
        raise ExitError(Exit.FAILED, text) from error


def hint(extra: str) -> str:
    """Return how *extra* is installed."""
    return (
        f"install the extra {extra} (pip install 'pyasynq[{extra}]', or '.[{extra}]' in a checkout)"
    )
