"""Counts and durations of runs, minute by minute."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from pyasynq.core.run_stats import Counts


class CountedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in one span of time.

    Attributes:
        start_s: Its start, Unix seconds.
        types: The counts of each type that ran.
    """

    start_s: int
    types: Mapping[str, Counts]


class HistoryPort(Protocol):
    """Counts and durations of runs, by queue, type and span of time."""

    async def add(self, queue: str, types: Mapping[str, Counts]) -> None:
        """Add counts to the present minute and to the present ten minutes of *queue*.

        Each span keeps `MOST_TYPES` types one by one, the rest as one; spans are kept for `KEPT_S`.
        """
        ...

    async def read(self, queue: str, *, length_s: int, start_s: int) -> Sequence[CountedSpan]:
        """Return the spans with this length, a key of `KEPT_S`, that end after *start_s*."""
        ...
