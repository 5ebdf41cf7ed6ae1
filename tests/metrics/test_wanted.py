"""The number of workers that a queue wants follows from what it shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq import QueueInfo, ServerInfo
from pyasynq.metrics.wanted import Reading, RunTime, WantedWorkers, wanted

EMPTY = QueueInfo(
    **dict.fromkeys(QueueInfo.__dataclass_fields__, 0)  # type: ignore[arg-type]
    | {"queue": "q", "timestamp": datetime.now(UTC), "latency": timedelta(0), "paused": False}
)
SERVER = ServerInfo(
    id="s",
    host="h",
    pid=1,
    concurrency=10,
    queues={"q": 1},
    strict_priority=False,
    started=None,
    status="active",
)


@pytest.mark.parametrize(
    ("counts", "number"),
    [
        ({}, 0),
        ({"archived": 9, "completed": 9}, 0),
        ({"active": 10}, 1),
        ({"active": 11}, 2),
        ({"pending": 1}, 1),
        ({"pending": 60}, 2),
        ({"active": 10, "pending": 60}, 3),
        ({"active": 10, "pending": 600, "paused": True}, 1),
        ({"scheduled": 1}, 1),
        ({"retry": 1}, 1),
        ({"aggregating": 1}, 1),
        ({"scheduled": 1, "paused": True}, 0),
    ],
    ids=str,
)
def test_a_queue_wants(counts: dict[str, Any], number: int) -> None:
    """With 10 tasks at once in each worker, 10 s for each, and a target of 30 s."""
    info = replace(EMPTY, **counts)
    assert wanted(info, 10, target_s=30, concurrency=10) == number


@given(st.integers(1, 50), st.floats(0.1, 100), st.integers(2, 20))
def test_the_mean_run_time_of_a_steady_queue_is_exact(
    slots: int, run_time_s: float, count: int
) -> None:
    """While all slots are taken, each ends a run in each run time."""
    run_time, every_s = RunTime(), min(run_time_s, 10.0)
    ended = [int(slots * n * every_s / run_time_s) for n in range(count)]
    found = [run_time.add(Reading(n * every_s, slots, done)) for n, done in enumerate(ended)]
    span_s = (count - 1) * every_s
    assert not ended[-1] or found[-1] == pytest.approx(slots * span_s / ended[-1])


def test_a_run_time_stays_known_while_nothing_runs() -> None:
    run_time = RunTime()
    run_time.add(Reading(0, 1, 0))
    assert run_time.add(Reading(10, 1, 2)) == 5
    assert run_time.add(Reading(1000, 0, 2)) == 5


def test_only_the_last_minutes_count() -> None:
    run_time = RunTime()
    run_time.add(Reading(0, 1, 0))
    run_time.add(Reading(10, 1, 1))
    run_time.add(Reading(1000, 1, 1))
    assert run_time.add(Reading(1010, 1, 11)) == 1


def test_tasks_that_do_not_end_take_at_least_as_long_as_they_are_seen() -> None:
    run_time = RunTime()
    run_time.add(Reading(0, 3, 0))
    assert run_time.add(Reading(120, 3, 0)) == 120


def test_a_queue_that_was_made_again_is_measured_again() -> None:
    run_time = RunTime()
    run_time.add(Reading(0, 1, 100))
    run_time.add(Reading(10, 1, 110))
    run_time.add(Reading(20, 2, 0))
    assert run_time.add(Reading(30, 2, 4)) == 5


def test_the_concurrency_is_the_mean_of_the_workers_of_the_queue() -> None:
    info = replace(EMPTY, active=30)
    small, other = replace(SERVER, concurrency=20), replace(SERVER, queues={"other": 1})
    workers = WantedWorkers(timedelta(seconds=30))
    assert workers.of_queues([info], [SERVER, small, other], 0) == {"q": 2}
    assert workers.of_queues([info], [], 1) == {"q": 2}
    assert WantedWorkers(timedelta(seconds=30)).of_queues([info], [], 0) == {"q": 1}
