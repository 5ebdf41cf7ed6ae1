"""Every broker enqueues a tick once, and lists the entries and events of schedulers."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pyasynq.broker import Broker, Created, EntryStart, NewTask, Position, Tick, TickResult
from pyasynq.broker.redis import keys
from pyasynq.broker.sqlite.creation import store_tick
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.core.info import SchedulerEvent
from pyasynq.core.policy import EARLY_S
from pyasynq.core.states import TaskState
from tests.support.factories import (
    LOCK,
    PAST_S,
    a_grouped,
    a_pending,
    a_scheduled,
    an_entry,
    enqueue,
    entry_values,
    ids,
    many_pending,
    one_of_each,
    take,
)
from tests.support.waiting import Lapse, wait_until

pytestmark = pytest.mark.needs("schedules")

START_S = 1_700_000_000
KEEP_S = 1000
START = datetime.fromtimestamp(START_S, UTC)

PLANS = [a_pending(), a_scheduled(), a_scheduled(group_key="g"), a_grouped()]
every_plan = pytest.mark.parametrize("plan", PLANS, ids=["pending", "later", "in group", "grouped"])


ENTRY = an_entry()


def a_tick(
    at_s: int, plan: Plan | None = None, *, known_s: int = START_S, entry_id: str = "e"
) -> NewTask:
    tick = Tick(entry_id=entry_id, known_s=known_s, at_s=at_s, ttl_s=KEEP_S)
    return NewTask(plan or a_pending(str(at_s)), tick)


async def begin(broker: Broker, begin_s: int = START_S) -> int | BrokerError:
    position = Position(entry_id="e", queue="q", begin_s=begin_s, ttl_s=KEEP_S)
    (begun,) = await broker.schedules.begin([position])
    return begun if isinstance(begun, BrokerError) else begun.last_s


async def tick(broker: Broker, new: NewTask) -> Created:
    (ticked,) = await broker.creation.create([new])
    return ticked


def an_event(number: int) -> SchedulerEvent:
    at = datetime.fromtimestamp(START_S + number, UTC)
    return SchedulerEvent(task_id=str(number), enqueued_at=at)


# -- ticks -----------------------------------------------------------------------------------------


async def test_an_unknown_entry_begins_where_it_says(broker: Broker) -> None:
    assert await begin(broker, START_S) == START_S


async def test_a_known_entry_goes_on_where_it_was(broker: Broker) -> None:
    await begin(broker, START_S)
    assert await begin(broker, START_S + 100) == START_S


@every_plan
async def test_a_tick_moves_the_entry_on(plan: Plan, broker: Broker) -> None:
    await begin(broker)
    moved = TickResult(last_s=START_S + 60, moved=True)
    assert await tick(broker, a_tick(START_S + 60, plan)) == moved
    assert await begin(broker) == START_S + 60


async def test_a_tick_enqueues_its_task(broker: Broker) -> None:
    await begin(broker)
    await tick(broker, a_tick(START_S + 60, a_pending("x")))
    assert ids(await take(broker)) == ["x"]


async def test_a_tick_is_not_enqueued_twice(broker: Broker) -> None:
    await begin(broker)
    await tick(broker, a_tick(START_S + 60, a_pending("x")))
    await take(broker)
    again = await tick(broker, a_tick(START_S + 60, a_pending("y")))
    assert again == TickResult(last_s=START_S + 60, moved=False)
    assert ids(await take(broker)) == []


async def test_a_scheduler_that_knows_less_gets_the_last_tick(broker: Broker) -> None:
    await begin(broker)
    await tick(broker, a_tick(START_S + 60))
    behind = await tick(broker, a_tick(START_S + 120, known_s=START_S))
    assert behind == TickResult(last_s=START_S + 60, moved=False)


async def test_a_scheduler_that_knows_more_than_the_broker_gets_the_last_tick(
    broker: Broker,
) -> None:
    await begin(broker)
    ahead = await tick(broker, a_tick(START_S + 120, known_s=START_S + 60))
    assert ahead == TickResult(last_s=START_S, moved=False)


async def test_an_entry_whose_last_tick_is_lost_goes_on(broker: Broker) -> None:
    assert await tick(broker, a_tick(START_S + 60)) == TickResult(last_s=START_S + 60, moved=True)


async def test_a_refused_task_moves_the_entry_on_anyway(broker: Broker) -> None:
    await begin(broker)
    await enqueue(broker, a_pending("x"))
    ticked = await tick(broker, a_tick(START_S + 60, a_pending("x")))
    assert isinstance(ticked, TickResult)
    assert isinstance(ticked.refusal, TaskIDConflictError)
    assert await begin(broker) == START_S + 60


async def test_a_task_whose_lock_is_held_is_refused(broker: Broker) -> None:
    await enqueue(broker, a_pending("x", lock=LOCK))
    ticked = await tick(broker, a_tick(START_S + 60, a_pending("y", lock=LOCK)))
    assert isinstance(ticked, TickResult)
    assert isinstance(ticked.refusal, DuplicateTaskError)


# -- clocks that are fast --------------------------------------------------------------------------

DAY_S = 86_400


def now_s() -> int:
    return int(time.time())


async def test_a_tick_that_is_still_to_come_is_not_enqueued(broker: Broker, lapse: Lapse) -> None:
    await begin(broker)
    ticked = await tick(broker, a_tick(now_s() + DAY_S))
    assert isinstance(ticked, TickResult)
    assert (ticked.moved, ticked.last_s) == (False, START_S)
    assert (ticked.clock_s or 0) in lapse
    assert ids(await take(broker)) == []
    assert await begin(broker) == START_S


async def test_a_tick_may_be_a_little_early(broker: Broker) -> None:
    await begin(broker)
    at_s = now_s() + EARLY_S - 1
    assert await tick(broker, a_tick(at_s)) == TickResult(last_s=at_s, moved=True)


async def test_an_entry_does_not_begin_in_time_to_come(broker: Broker) -> None:
    assert await begin(broker, now_s() + DAY_S) == pytest.approx(now_s(), abs=5)


async def write_last_tick(broker: Broker, last_s: int) -> None:
    """Write a last tick, as a version did that accepted every clock."""
    inside: Any = broker
    if broker.name == "SQLite":
        await inside._store.write(lambda tx: store_tick(tx, tx.register("q"), "e", last_s, KEEP_S))
    else:
        await inside._driver.set(keys.last_tick("q", "e"), last_s, ex=KEEP_S)


async def test_a_last_tick_far_ahead_is_not_believed_at_the_start(broker: Broker) -> None:
    await write_last_tick(broker, far_s := now_s() + DAY_S)
    position = Position(entry_id="e", queue="q", begin_s=START_S, ttl_s=KEEP_S)
    answers = [
        *await broker.schedules.begin([position]),
        *await broker.schedules.begin([position]),
    ]
    assert answers == [
        EntryStart(last_s=START_S, known=False, rejected_s=far_s),
        EntryStart(last_s=START_S, known=True),
    ]


async def test_a_last_tick_far_ahead_stops_no_scheduler_that_runs(broker: Broker) -> None:
    await begin(broker)
    await write_last_tick(broker, far_s := now_s() + DAY_S)
    ticked = await tick(broker, a_tick(START_S + 60, a_pending("x")))
    assert ticked == TickResult(last_s=START_S + 60, moved=True, rejected_s=far_s)
    assert ids(await take(broker)) == ["x"]


async def test_a_last_tick_a_little_ahead_is_obeyed(broker: Broker) -> None:
    await write_last_tick(broker, near_s := now_s() + 60)
    assert await begin(broker, START_S) == near_s
    assert await tick(broker, a_tick(START_S)) == TickResult(last_s=near_s, moved=False)


async def test_the_brokers_clock_is_reported(broker: Broker, lapse: Lapse) -> None:
    assert await broker.schedules.clock_s() in lapse


async def test_hundreds_of_ticks_are_answered_one_by_one(broker: Broker) -> None:
    ticks = [a_tick(START_S, a_pending(str(n)), entry_id=str(n)) for n in range(300)]
    answers = await broker.creation.create([*ticks, a_tick(START_S + 1, known_s=1, entry_id="0")])
    assert answers[:300] == [TickResult(last_s=START_S, moved=True)] * 300
    assert answers[300:] == [TickResult(last_s=START_S, moved=False)]


async def test_a_delayed_task_of_a_tick_is_forwarded_when_due(broker: Broker) -> None:
    await tick(broker, a_tick(START_S, a_scheduled("x", at_s=PAST_S)))
    assert (await broker.upkeep.forward("q")).moved == 1


# -- entries and events ----------------------------------------------------------------------------


async def test_entries_are_shown(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    assert entry_values(await broker.schedules.entries()) == entry_values([ENTRY])


async def test_an_entry_tells_its_last_and_its_next_tick(broker: Broker) -> None:
    entry = an_entry(prev=START, next=START + timedelta(minutes=1, microseconds=5))
    await broker.schedules.write_entries("h:1:s", [entry], ttl_s=20)
    assert entry_values(await broker.schedules.entries()) == entry_values([entry])


async def test_the_entries_of_all_schedulers_are_shown(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    await broker.schedules.write_entries("h:2:s", [ENTRY], ttl_s=20)
    assert entry_values(await broker.schedules.entries()) == entry_values([ENTRY, ENTRY])


async def test_entries_that_are_gone_are_shown_no_more(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY, ENTRY], ttl_s=20)
    await broker.schedules.write_entries("h:1:s", [], ttl_s=20)
    assert await broker.schedules.entries() == []


async def test_a_cleared_scheduler_is_shown_no_more(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    await broker.schedules.clear_entries("h:1:s")
    assert await broker.schedules.entries() == []


async def test_the_entries_of_a_scheduler_that_has_crashed_are_known(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=1)

    async def is_over() -> bool:
        return await broker.schedules.entries() == []

    await wait_until(is_over)
    assert entry_values(await broker.schedules.entries_of("h:1:s")) == entry_values([ENTRY])
    [heartbeat] = await broker.diagnosis.schedulers()
    assert (heartbeat.server, heartbeat.left_s < 0) == ("h:1:s", True)


async def test_of_a_scheduler_that_has_closed_nothing_is_known(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    await broker.schedules.clear_entries("h:1:s")
    assert await broker.schedules.entries_of("h:1:s") == []
    assert await broker.diagnosis.schedulers() == []


async def test_thousands_of_entries_are_shown(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY] * 5000, ttl_s=20)
    assert len(await broker.schedules.entries()) == 5000


async def test_events_are_returned_newest_first(broker: Broker) -> None:
    await broker.schedules.record([("e", an_event(n)) for n in range(3)])
    events = await broker.schedules.events("e", page=1, size=10)
    assert events == [an_event(2), an_event(1), an_event(0)]


async def test_the_states_of_tasks_are_read_together(broker: Broker) -> None:
    await one_of_each(broker)
    names = [*TaskState, "none"]
    found = await broker.schedules.states([*(("q", name) for name in names), ("other", "pending")])
    assert found == [*TaskState, None, None]


async def test_hundreds_of_states_are_read(broker: Broker) -> None:
    await enqueue(broker, *many_pending(300))
    found = await broker.schedules.states([("q", str(n)) for n in range(300)])
    assert found == [TaskState.PENDING] * 300


async def test_events_come_in_pages(broker: Broker) -> None:
    await broker.schedules.record([("e", an_event(n)) for n in range(5)])
    assert await broker.schedules.events("e", page=2, size=2) == [an_event(2), an_event(1)]
    assert await broker.schedules.events("e", page=3, size=2) == [an_event(0)]


async def test_events_of_another_entry_are_not_returned(broker: Broker) -> None:
    await broker.schedules.record([("e", an_event(1))])
    assert await broker.schedules.events("f", page=1, size=10) == []


async def test_a_thousand_events_are_kept(broker: Broker) -> None:
    await broker.schedules.record([("e", an_event(n)) for n in range(1010)])
    events = await broker.schedules.events("e", page=1, size=2000)
    assert (len(events), events[-1]) == (1000, an_event(10))


async def test_a_forgotten_entry_has_no_events(broker: Broker) -> None:
    await begin(broker)
    await broker.schedules.record([("e", an_event(1))])
    await broker.schedules.forget("e", "q")
    assert await broker.schedules.events("e", page=1, size=10) == []
