"""How the command line was called."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of `main`, which click hands to commands as the context's object.

    Attributes:
        arguments: The command line without the program's name.
        is_process: It is the process's own command line, so the command may end the process.
    """

    arguments: Sequence[str]
    is_process: bool
