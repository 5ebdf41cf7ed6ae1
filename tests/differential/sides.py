"""The interface of both sides: each applies operations to a Redis of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from tests.differential.operations import Operation


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of an operation.

    Attributes:
        value: The returned value.
        error: The class of the error, by asynq's name if it has one, or None.
        text: The text of the error.
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
    """What the user's error callback sees."""

    id: str
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a server's handlers have seen so far, in order."""

    seen: Sequence[Seen]
    failed: Sequence[Failed]


class Combined(msgspec.Struct, frozen=True, kw_only=True):
    """What the user's aggregator sees."""

    group: str
    payloads: Sequence[str]


class Side(Protocol):
    """Go's side or Python's."""

    async def apply(self, operation: Operation) -> Answer:
        """Apply *operation*; return its answer."""
        ...
