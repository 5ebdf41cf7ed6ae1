"""Counts and durations of runs, by the type of the task.

What is counted is a list of `LENGTH` whole numbers, so that adding two of them needs no names: the
runs that succeeded, that failed, those of them after which the task was archived, the sum of their
durations in microseconds, the measured waits and their sum, then a histogram of the durations and
one of the waits. Bucket 0 holds what took less than 1,024 us, and each next one twice as much.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

Counts: TypeAlias = Sequence[int]

SUCCEEDED: Final = 0
FAILED: Final = 1
ARCHIVED: Final = 2
RUN_US: Final = 3
WAITS: Final = 4
WAIT_US: Final = 5
RUN_BUCKETS: Final = 6
BUCKETS: Final = 24
WAIT_BUCKETS: Final = RUN_BUCKETS + BUCKETS
LENGTH: Final = WAIT_BUCKETS + BUCKETS

SHIFT: Final = 10
"""Bucket 0 ends at two to this power, microseconds."""

RUN_LIMITS: Final = tuple(timedelta(microseconds=1 << (SHIFT + n)) for n in range(BUCKETS - 1))
"""Where each bucket but the last ends; the first one holds what took less than 1.024 ms."""

OTHER: Final = "(other)"
"""What stands for all types beyond the most frequent ones."""

MOST_TYPES: Final = 200
"""Types of a queue that are counted one by one in each span."""

MINUTE_S: Final = 60
TEN_MINUTES_S: Final = 600
KEPT_S: Final[Mapping[int, int]] = {MINUTE_S: 8 * 3600, TEN_MINUTES_S: 3 * 86_400}
"""For each length of a span, how long its counts are kept, seconds."""


class TypeStats(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one type of task within some time.

    Percentiles come from histograms whose buckets double, so one may be up to twice the true value,
    or down to half of it; below 1 ms it is only known to be below.

    Attributes:
        type: The type; ``(other)`` for all beyond the 200 most frequent.
        succeeded: Runs that succeeded.
        failed: Runs that failed.
        archived: Failed runs after which the task was archived.
        run_mean: Mean duration of a run; None without runs. The next three are percentiles.
        run_histogram: Runs by their duration: the first number counts those that took less than the
            first of `RUN_LIMITS`, 1.024 ms, each next one those up to the next limit, twice the one
            before; the last one counts all others.
        wait_mean: Mean time for which tasks were pending; it is measured for the first task that a
            worker takes in each call, and None if none was. The next three are percentiles.
    """

    type: str
    succeeded: int
    failed: int
    archived: int
    run_mean: timedelta | None
    run_p50: timedelta | None
    run_p95: timedelta | None
    run_p99: timedelta | None
    run_histogram: Sequence[int]
    wait_mean: timedelta | None
    wait_p50: timedelta | None
    wait_p95: timedelta | None
    wait_p99: timedelta | None


class RunSpan(msgspec.Struct, frozen=True, kw_only=True):
    """What ran in one minute, or in ten.

    Attributes:
        start: When the span begins, UTC.
        length: Its length.
        types: The types that ran, the most frequent first.
    """

    start: datetime
    length: timedelta
    types: Sequence[TypeStats]


def no_counts() -> list[int]:
    """Return counts of nothing."""
    return [0] * LENGTH


def bucket_of(us: int) -> int:
    """Return the bucket of a duration in microseconds."""
    return min((us >> SHIFT).bit_length(), BUCKETS - 1)


def add_counts(known: dict[str, list[int]], added: Mapping[str, Counts], most: int) -> None:
    """Add counts by type; types that are new once *most* are *known* are counted as `OTHER`."""
    for type, counts in added.items():
        name = type if type in known or len(known) < most else OTHER
        known[name] = sum_of([known.get(name, no_counts()), counts])


def sum_of(all_counts: Iterable[Counts]) -> list[int]:
    """Return the sum of counts; what has another length is of another version, and is left out."""
    return [sum(column) for column in zip(no_counts(), *_sound(all_counts), strict=True)]


def type_stats(by_type: Mapping[str, Counts]) -> list[TypeStats]:
    """Return the statistics of each type, the most frequent first."""
    stats = [_stats(type, counts) for type, counts in by_type.items() if len(counts) == LENGTH]
    return sorted(stats, key=lambda one: (-one.succeeded - one.failed, one.type))


def _sound(all_counts: Iterable[Counts]) -> list[Counts]:
    return [counts for counts in all_counts if len(counts) == LENGTH]


def _stats(type: str, counts: Counts) -> TypeStats:
    runs = counts[SUCCEEDED] + counts[FAILED]
    run, wait = counts[RUN_BUCKETS:WAIT_BUCKETS], counts[WAIT_BUCKETS:]
    return TypeStats(
        type=type,
        succeeded=counts[SUCCEEDED],
        failed=counts[FAILED],
        archived=counts[ARCHIVED],
        run_mean=_mean(counts[RUN_US], runs),
        run_p50=percentile(run, 0.5),
        run_p95=percentile(run, 0.95),
        run_p99=percentile(run, 0.99),
        run_histogram=tuple(run),
        wait_mean=_mean(counts[WAIT_US], counts[WAITS]),
        wait_p50=percentile(wait, 0.5),
        wait_p95=percentile(wait, 0.95),
        wait_p99=percentile(wait, 0.99),
    )


def _mean(total_us: int, count: int) -> timedelta | None:
    return timedelta(microseconds=total_us // count) if count else None


def percentile(buckets: Counts, part: float) -> timedelta | None:
    """Return the duration below which *part* of all are, within its bucket by proportion."""
    left = part * sum(buckets)
    for bucket, count in enumerate(buckets):
        if count and left <= count:
            lower = 0 if bucket == 0 else 1 << (SHIFT + bucket - 1)
            upper = 1 << (SHIFT + bucket)
            return timedelta(microseconds=int(lower + (upper - lower) * left / count))
        left -= count
    return None
