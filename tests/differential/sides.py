"""What the two sides have in common: each obeys an operation on a Redis of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from tests.differential.operations import Operation


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of an operation.

    Attributes:
        value: What was returned.
        error: The class of the error, in asynq's words where it has some, or None.
        text: The error's text.
    """

    value: Any = None
    error: str | None = None
    text: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler sees of its task."""

    id: str
    type: str
    payload: bytes | None
    headers: dict[str, str]
    queue: str
    retried: int
    max_retry: int
    deadline: datetime


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """What the user's function for errors sees."""

    id: str
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a server's handlers have seen so far, in order."""

    seen: Sequence[Seen]
    failed: Sequence[Failed]


class Combined(msgspec.Struct, frozen=True, kw_only=True):
    """What the user's function for groups sees."""

    group: str
    payloads: Sequence[str]


class Side(Protocol):
    """Go or Python."""

    async def apply(self, operation: Operation) -> Answer:
        """Carry out *operation*."""
        ...
