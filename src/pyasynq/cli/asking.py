"""Ask before something is destroyed."""

import argparse
import sys

from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.output import message

_YES = frozenset({"y", "yes"})


def confirm(words: argparse.Namespace, question: str) -> None:
    """Return if the person at the terminal, or ``--yes``, agrees to *question*.

    Raises:
        ExitError: If nobody is there to be asked, or the answer is no.
    """
    if words.yes:
        return
    if not sys.stdin.isatty():
        raise ExitError(Exit.USAGE, f"{question}? Nobody is there to be asked: say --yes")
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip().lower() not in _YES:
        message("nothing was done")
        raise ExitError(Exit.FAILED, "not confirmed")
