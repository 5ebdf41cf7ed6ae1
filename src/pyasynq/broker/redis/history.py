"""Counts and durations of runs, minute by minute."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, cast

import msgspec

from pyasynq.broker.ports.history import CountedSpan
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, execute_all
from pyasynq.broker.redis.lua import history as scripts
from pyasynq.core.run_stats import (
    KEPT_S,
    LENGTH,
    MINUTE_S,
    MOST_TYPES,
    OTHER,
    TEN_MINUTES_S,
    Counts,
    no_counts,
)
from pyasynq.runtime.clock import Clock

STEP: Final = 60
"""Spans that one round trip reads; each has at most some 20 kB."""


class RedisHistory:
    """The port for the history of runs."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Send calls over *driver*; *clock* tells which spans there are."""
        self._driver = driver
        self._clock = clock

    async def add(self, queue: str, types: Mapping[str, Counts]) -> None:
        """Add counts to the present minute and to the present ten minutes of *queue*."""
        call = scripts.add_runs(
            [value for type, counts in types.items() for value in (type, _pairs(counts))],
            runs_prefix=keys.runs(queue),
            most=MOST_TYPES,
            other=OTHER,
            minute_s=MINUTE_S,
            minute_ttl=KEPT_S[MINUTE_S],
            ten_s=TEN_MINUTES_S,
            ten_ttl=KEPT_S[TEN_MINUTES_S],
        )
        await pipeline.run(self._driver, call)

    async def read(self, queue: str, *, length_s: int, start_s: int) -> Sequence[CountedSpan]:
        """Return the spans with this length that end after *start_s*."""
        now_s = int(self._clock.now().timestamp())
        first_s = max(start_s, now_s - KEPT_S[length_s]) // length_s * length_s
        # One more, because the clock of Redis may be ahead.
        starts = range(first_s, now_s + length_s + 1, length_s)
        spans: list[CountedSpan] = []
        for at in range(0, len(starts), STEP):
            some = starts[at : at + STEP]
            commands = [("HGETALL", keys.runs(queue, f"{length_s}:{start}")) for start in some]
            answers = await execute_all(self._driver, commands)
            pipeline.raise_first(answers)
            for start, answer in zip(some, answers, strict=True):
                if types := _read_types(cast("Mapping[bytes, bytes]", answer)):
                    spans.append(CountedSpan(start_s=start, types=types))
        return spans


def _pairs(counts: Counts) -> tuple[int, ...]:
    """Return the numbers that are not 0, each after its place, from 1: most of them are 0."""
    found = ((place, count) for place, count in enumerate(counts, 1) if count)
    return tuple(chain.from_iterable(found))


def _read_types(fields: Mapping[bytes, bytes]) -> dict[str, Counts]:
    types: dict[str, Counts] = {}
    for name, packed in fields.items():
        try:
            pairs = msgspec.msgpack.decode(packed, type=list[int])
        except msgspec.DecodeError:
            continue
        counts = no_counts()
        for place, count in zip(pairs[::2], pairs[1::2], strict=False):
            if 1 <= place <= LENGTH:
                counts[place - 1] = count
        types[name.decode(errors="replace")] = counts
    return types
