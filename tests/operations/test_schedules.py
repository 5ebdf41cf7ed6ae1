"""What entries have enqueued is known as far as their tasks and the ids of their ticks show it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from pyasynq.broker import Broker
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.options import NO_OPTIONS, Options
from pyasynq.operations import schedules
from pyasynq.operations.schedules import read_runs, ticks_without_task
from pyasynq.scheduler.entry import tick_task_id
from tests.support.clocks import NOON
from tests.support.factories import an_entry, one_of_each

MINUTE = timedelta(minutes=1)
LATE = timedelta(milliseconds=30)


def tick(number: float) -> datetime:
    """Return the tick *number* of an entry that ticks each minute."""
    return NOON + number * MINUTE


def event(at: datetime, task_id: str = "") -> SchedulerEvent:
    """Return the event of a tick, or of the task with this id."""
    return SchedulerEvent(task_id=task_id or tick_task_id("e", at), enqueued_at=at + LATE)


def events(*numbers: float) -> list[SchedulerEvent]:
    """Return the events of some ticks, the newest first."""
    return [event(tick(number)) for number in reversed(numbers)]


def entry(spec: str, prev: float) -> SchedulerEntry:
    return an_entry("e", spec=spec, prev=tick(prev))


EVERY_MINUTE = pytest.mark.parametrize(
    "spec", ["* * * * *", "@every 1m", "TZ=Asia/Taipei * * * * *"]
)


@EVERY_MINUTE
@pytest.mark.parametrize(
    ("ran", "now", "count"),
    [
        ([1, 2, 3], 3.1, 0),
        ([1, 2, 5], 5.1, 2),
        ([1, 2], 4.1, 1),  # tick 4 is not late yet
        ([7], 7.1, 0),
        ([7], 9.9, 2),
        ([1, 5000], 5000.1, schedules.MOST_TICKS),
    ],
)
def test_ticks_that_have_enqueued_nothing_are_counted(
    spec: str, ran: Sequence[float], now: float, count: int
) -> None:
    found = events(*ran)
    assert ticks_without_task(entry(spec, ran[-1]), found, tick(now)) == count


def test_a_tick_that_was_late_is_not_missing() -> None:
    late = SchedulerEvent(task_id=tick_task_id("e", tick(2)), enqueued_at=tick(3.2))
    found = [event(tick(4)), late, event(tick(1))]
    assert ticks_without_task(entry("* * * * *", 4), found, tick(4.1)) == 1


def test_a_run_by_hand_is_no_tick() -> None:
    by_hand = event(tick(2.5), "random")
    found = [event(tick(3)), by_hand, *events(1, 2)]
    assert ticks_without_task(entry("* * * * *", 3), found, tick(3.1)) == 0


@pytest.mark.parametrize(
    ("spec", "task_id"),
    [
        ("* * * * *", "random"),  # of Go, or its options give an id
        ("30 * * * *", ""),  # another zone, or another definition
        ("nonsense", ""),
    ],
)
def test_nothing_is_known_if_the_last_tick_is_not_found(spec: str, task_id: str) -> None:
    found = [event(tick(1), task_id)]
    assert ticks_without_task(entry(spec, 1), found, tick(9)) is None


def test_nothing_is_known_of_an_entry_that_has_not_run_or_is_paused() -> None:
    assert ticks_without_task(an_entry("e", spec="* * * * *"), [], NOON) is None
    paused = an_entry("e", spec="* * * * *", prev=tick(1), paused=True)
    assert ticks_without_task(paused, events(1), tick(9)) is None


async def test_the_outcome_of_a_run_is_the_state_of_its_task(broker: Broker) -> None:
    await one_of_each(broker)
    outcomes = {
        "completed": "succeeded",
        "archived": "failed",
        "retry": "failed",
        "active": "running",
        "pending": "waiting",
        "scheduled": "waiting",
        "aggregating": "waiting",
        "gone": "not_kept",
    }
    some = [event(tick(n), task_id) for n, task_id in enumerate(outcomes)]
    await broker.schedules.record([("e", one) for one in some])
    [found] = await read_runs(broker, [an_entry("e", options=Options(queue="q"))])
    assert {run.task_id: run.outcome for run in found.runs} == outcomes
    assert (found.queue, found.runs[0].task_id) == ("q", "gone")


async def test_no_more_tasks_are_looked_up_than_allowed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "MOST_TASKS", 1)
    await broker.schedules.record([(one, event(NOON, one)) for one in "ef"])
    found = await read_runs(broker, [an_entry("e"), an_entry("f")])
    assert [run.outcome for one in found for run in one.runs] == ["not_kept", None]


async def test_the_queue_of_an_entry_may_be_that_of_its_task(broker: Broker) -> None:
    task = EntryTask(
        entry_id="e", queue="low", type="t", payload=b"", headers={}, options=NO_OPTIONS, ttl_s=60
    )
    await broker.entries.keep([task])
    entries = [an_entry(it, options=Options()) for it in "ef"]
    assert [it.queue for it in await read_runs(broker, entries)] == ["low", "default"]


async def test_without_entries_there_is_nothing_to_read(broker: Broker) -> None:
    assert await read_runs(broker, []) == []
