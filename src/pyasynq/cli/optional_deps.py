"""Packages of pyasynq's extras."""

import importlib

from pyasynq.cli.exit_codes import Exit, ExitError


def require(package: str, extra: str, purpose: str, instead: str = "") -> None:
    """Return if *package* is installed.

    Args:
        package: The package to import.
        extra: The extra that installs it.
        purpose: What needs it, in words.
        instead: What the user can do without it, in words.

    Raises:
        ExitError: If it is not installed.
    """
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise
        text = f"{purpose}: {install_hint(extra)}{instead and ', or ' + instead}"
        raise ExitError(Exit.FAILED, text) from error


def install_hint(extra: str) -> str:
    """Return the words that say how to install *extra*."""
    return (
        f"install the extra {extra} (pip install 'pyasynq[{extra}]', or '.[{extra}]' in a checkout)"
    )
