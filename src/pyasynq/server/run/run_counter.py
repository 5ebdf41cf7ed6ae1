"""Count runs and their durations until the historian writes them."""

from collections.abc import Mapping
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.run_stats import (
    ARCHIVED,
    BUCKETS,
    FAILED,
    MOST_TYPES,
    OTHER,
    RUN_BUCKETS,
    RUN_US,
    SHIFT,
    SUCCEEDED,
    WAIT_BUCKETS,
    WAIT_US,
    WAITS,
    add_counts,
    bucket_of,
    no_counts,
)
from pyasynq.core.verdict import Archive, Retry, Verdict

LAST: Final = BUCKETS - 1


class RunCounter:
    """Counts by queue and type; this costs each run some 0.3 us.

    Types beyond `MOST_TYPES` of a queue are counted as one: a program may make up types without
    end, and what one call writes must stay small.
    """

    def __init__(self) -> None:
        """Count nothing yet."""
        self._queues: dict[str, dict[str, list[int]]] = {}

    def add_success(self, queue: str, type: str, took_s: float) -> None:
        """Count a run that succeeded; the same steps as in `add_failure`, inlined for speed."""
        try:
            counts = self._queues[queue][type]
        except KeyError:
            counts = self._new(queue, type)
        us = int(took_s * 1_000_000)
        bucket = (us >> SHIFT).bit_length()
        counts[SUCCEEDED] += 1
        counts[RUN_US] += us
        counts[RUN_BUCKETS + min(LAST, bucket)] += 1

    def add_verdict(self, lease: Lease, verdict: Verdict, took_s: float) -> None:
        """Count a run with this verdict, unless its handler has only asked to run later."""
        archived = isinstance(verdict, Archive)
        if archived or (isinstance(verdict, Retry) and verdict.failed):
            self.add_failure(lease.queue, lease.message.type, took_s, archived=archived)

    def add_failure(self, queue: str, type: str, took_s: float, *, archived: bool) -> None:
        """Count a run that failed."""
        counts = self._new(queue, type)
        us = max(0, int(took_s * 1_000_000))
        counts[FAILED] += 1
        counts[ARCHIVED] += archived
        counts[RUN_US] += us
        counts[RUN_BUCKETS + bucket_of(us)] += 1

    def add_wait(self, queue: str, type: str, waited_s: float) -> None:
        """Count for how long a task was pending."""
        counts = self._new(queue, type)
        us = int(waited_s * 1_000_000)
        counts[WAITS] += 1
        counts[WAIT_US] += us
        counts[WAIT_BUCKETS + bucket_of(us)] += 1

    def take(self) -> Mapping[str, Mapping[str, list[int]]]:
        """Return the counts by queue and type, and begin again."""
        taken, self._queues = self._queues, {}
        return taken

    def put_back(self, queue: str, types: Mapping[str, list[int]]) -> None:
        """Count again what could not be written."""
        add_counts(self._queues.setdefault(queue, {}), types, MOST_TYPES)

    def _new(self, queue: str, type: str) -> list[int]:
        types = self._queues.setdefault(queue, {})
        name = type if type in types or len(types) < MOST_TYPES else OTHER
        return types.setdefault(name, no_counts())
