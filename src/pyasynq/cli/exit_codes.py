"""Exit codes, and the error that ends a command."""

from enum import IntEnum

import click


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_CONNECTION = 4
    CONFLICT = 5
    STOPPED = 6
    """Operators want this worker to end, and not to be started again."""
    INTERRUPTED = 130


class ExitError(click.ClickException):
    """Ends a command with an exit code and a message.

    A mistake on the command line is a `click.UsageError`, which also prints the usage.

    Attributes:
        exit_code: Exit code.
    """

    def __init__(self, code: Exit, text: str) -> None:
        """End with *code* and print *text*."""
        super().__init__(text)
        self.exit_code: int = code  # type: ignore[misc]  # click has one for each class
