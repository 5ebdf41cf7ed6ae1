"""One call of the command line."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of `main`: the object of click's context.

    Attributes:
        arguments: The command line without the program's name.
        is_process: Whether these are the arguments of this process: the command may then end it.
    """

    arguments: Sequence[str]
    is_process: bool
