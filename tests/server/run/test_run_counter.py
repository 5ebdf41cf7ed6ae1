"""A server counts its runs, and never more types than can be written in one call."""

import pytest

from pyasynq.core.run_stats import FAILED, MOST_TYPES, OTHER, RUN_BUCKETS, SUCCEEDED, WAIT_BUCKETS
from pyasynq.server.run.run_counter import RunCounter


@pytest.mark.parametrize("took_s", [0.0, 0.001, 0.00102, 0.5, 7.0, 4000.0, 1e9])
def test_a_success_and_a_failure_of_the_same_length_are_in_the_same_bucket(took_s: float) -> None:
    counter = RunCounter()
    counter.add_success("q", "ok", took_s)
    counter.add_failure("q", "failed", took_s, archived=False)
    types = counter.take()["q"]
    assert (types["ok"][SUCCEEDED], types["failed"][FAILED]) == (1, 1)
    assert types["ok"][RUN_BUCKETS:WAIT_BUCKETS] == types["failed"][RUN_BUCKETS:WAIT_BUCKETS]
    assert sum(types["ok"][RUN_BUCKETS:WAIT_BUCKETS]) == 1


def test_types_without_end_are_counted_as_one() -> None:
    counter = RunCounter()
    for number in range(3 * MOST_TYPES):
        counter.add_success("q", f"t{number}", 0.1)
    counter.add_success("q", "t0", 0.1)
    types = counter.take()["q"]
    assert len(types) == MOST_TYPES + 1
    assert (types["t0"][SUCCEEDED], types[OTHER][SUCCEEDED]) == (2, 2 * MOST_TYPES)
