"""Packages that only an extra installs."""

import importlib

from pyasynq.cli.exit_codes import Exit, ExitError


def require(package: str, extra: str, purpose: str, instead: str = "") -> None:
    """Return if *package*, which *purpose* needs, is installed.

    Raises:
        ExitError: If it is not; the text names the *extra* to install, or what helps *instead*.
    """
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise
        text = f"{purpose}: {install_hint(extra)}{instead and ', or ' + instead}"
        raise ExitError(Exit.FAILED, text) from error


def install_hint(extra: str) -> str:
    """Return how to install *extra*."""
    return (
        f"install the extra {extra} (pip install 'pyasynq[{extra}]', or '.[{extra}]' in a checkout)"
    )
