"""Counts of runs add up, and percentiles lie where the durations do."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.run_stats import (
    BUCKETS,
    LENGTH,
    OTHER,
    RUN_BUCKETS,
    RUN_LIMITS,
    SUCCEEDED,
    add_counts,
    bucket_of,
    no_counts,
    percentile,
    sum_of,
    type_stats,
)

HOUR_US = 3_600_000_000

counts = st.lists(st.integers(0, 10**9), min_size=LENGTH, max_size=LENGTH)
durations = st.lists(st.integers(1, HOUR_US), min_size=1, max_size=200)


def histogram(values_us: list[int]) -> list[int]:
    buckets = [0] * BUCKETS
    for us in values_us:
        buckets[bucket_of(us)] += 1
    return buckets


@given(durations, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(values_us: list[int], part: float) -> None:
    found = percentile(histogram(values_us), part)
    assert found is not None
    index = max(0, -(-int(part * len(values_us) * 100) // 100) - 1)
    true_us = sorted(values_us)[min(index, len(values_us) - 1)]
    us = found // timedelta(microseconds=1)
    near = {bucket_of(us), bucket_of(max(0, us - 1))}
    assert any(abs(bucket - bucket_of(true_us)) <= 1 for bucket in near)


def test_what_never_ran_has_no_percentiles() -> None:
    assert percentile([0] * BUCKETS, 0.5) is None


@pytest.mark.parametrize(
    ("us", "bucket"), [(0, 0), (1023, 0), (1024, 1), (2047, 1), (2048, 2), (10**18, BUCKETS - 1)]
)
def test_each_bucket_is_twice_as_wide_as_the_one_before(us: int, bucket: int) -> None:
    assert bucket_of(us) == bucket


@given(counts, counts)
def test_counts_are_added_one_by_one(one: list[int], two: list[int]) -> None:
    assert sum_of([one, two]) == [a + b for a, b in zip(one, two, strict=True)]


def test_counts_of_another_version_are_left_out() -> None:
    assert sum_of([[1, 2, 3], no_counts()]) == no_counts()
    assert type_stats({"t": [1, 2, 3]}) == []


def a_run() -> list[int]:
    counts = no_counts()
    counts[SUCCEEDED] = 1
    counts[RUN_BUCKETS] = 1
    return counts


def test_types_beyond_the_largest_number_are_counted_as_one() -> None:
    known: dict[str, list[int]] = {}
    add_counts(known, {str(n): a_run() for n in range(5)}, 3)
    add_counts(known, {"1": a_run(), "9": a_run()}, 3)
    assert {type: counts[SUCCEEDED] for type, counts in known.items()} == {
        "0": 1,
        "1": 2,
        "2": 1,
        OTHER: 3,
    }


def test_the_most_frequent_type_comes_first() -> None:
    stats = type_stats({"rare": a_run(), "often": sum_of([a_run(), a_run()])})
    assert [(one.type, one.succeeded) for one in stats] == [("often", 2), ("rare", 1)]
    assert stats[0].run_p50 == timedelta(microseconds=512)
    assert stats[0].run_mean == timedelta(0)
    assert stats[0].wait_p50 is None
    assert stats[0].run_histogram == (2, *[0] * (BUCKETS - 1))


@pytest.mark.parametrize("at", range(BUCKETS - 1))
def test_a_bucket_ends_at_its_limit(at: int) -> None:
    us = RUN_LIMITS[at] // timedelta(microseconds=1)
    assert (bucket_of(us - 1), bucket_of(us)) == (at, at + 1)
