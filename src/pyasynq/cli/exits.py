"""How a command ends."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_CONNECTION = 4
    CONFLICT = 5
    INTERRUPTED = 130


class ExitError(Exception):
    """A command cannot go on; its text is for the person who called it.

    Attributes:
        code: Exit code.
    """

    def __init__(self, code: Exit, text: str) -> None:
        """End with *code* and say *text*."""
        self.code = code
        super().__init__(text)
