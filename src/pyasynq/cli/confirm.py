"""Ask before something is destroyed."""

import sys

import click

from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.output import message


def confirm(question: str, *, yes: bool) -> None:
    """Return if the person at the terminal, or ``--yes``, agrees to *question*.

    Raises:
        ExitError: If the answer is no.
        click.UsageError: If nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        text = f"{question}? Nobody is there to be asked: say --yes"
        raise click.UsageError(text)
    if not _agrees(question):
        message("nothing was done")
        raise ExitError(Exit.FAILED, "not confirmed")


def _agrees(question: str) -> bool:
    try:
        return click.confirm(f"{question}?", prompt_suffix=" ", err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            return False  # the input has ended; Ctrl-C ends the command
        raise
