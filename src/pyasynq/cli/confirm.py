"""Ask before a command deletes something."""

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.output import print_message
from pyasynq.core.safe_text import safe


def ask_first(
    question: Callable[[Mapping[str, Any]], str],
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator that adds ``--yes``; without it the command asks first.

    Args:
        question: Takes the options of the command and returns the question.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(*, yes: bool, **options: object) -> int:
            confirm(question(options), yes=yes)
            return command(**options)

        return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(run)

    return decorate


def confirm(question: str, *, yes: bool) -> None:
    """Return if the person at the terminal, or ``--yes``, agrees to *question*.

    Raises:
        ExitError: If the answer is no.
        click.UsageError: If stdin is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        text = f"{question}? There is no terminal to ask at: give --yes"
        raise click.UsageError(text)
    if not _agrees(question):
        print_message("nothing was done")
        raise ExitError(Exit.FAILED, "not confirmed")


def _agrees(question: str) -> bool:
    try:
        return click.confirm(f"{safe(question)}?", prompt_suffix=" ", err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            return False  # the input has ended; Ctrl-C ends the command
        raise
