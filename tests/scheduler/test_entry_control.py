"""Schedulers leave out the ticks of paused entries, and keep what operators need."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Unpack

import pytest
from redis.asyncio import Redis

from pyasynq import (
    App,
    BrokerAuthError,
    BrokerError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    Clock,
    CodecContext,
    Inspector,
    PeriodicTask,
    PeriodicTaskManager,
    Scheduler,
    SchedulerEvent,
    Task,
)
from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import in_memory
from pyasynq.core.entry_task import EntryTask
from pyasynq.scheduler import SchedulerOptions
from tests.scheduler.steps import advance_and_step, ticker_of
from tests.support.brokers import KINDS, broker_of
from tests.support.clocks import SteeredClock
from tests.support.codecs import Envelope
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

MINUTELY = "* * * * *"
TASK = Task("t", b"p", queue="q")
HOUR = timedelta(hours=1)

Make = Callable[..., Scheduler]


@pytest.fixture
def clock() -> SteeredClock:
    """Return a clock that begins a few minutes ago: by the clock of Redis no tick is in future."""
    return SteeredClock(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30))


@pytest.fixture(params=KINDS)
async def broker(
    request: pytest.FixtureRequest, redis_server: RedisServer, clock: SteeredClock
) -> AsyncIterator[Broker]:
    """Yield a broker that all schedulers and inspectors of a test use."""
    async with broker_of(request.param, redis_server, clock) as broker:
        yield broker


@pytest.fixture(params=KINDS)
async def live(request: pytest.FixtureRequest, redis_server: RedisServer) -> AsyncIterator[Broker]:
    """Yield a broker for schedulers with the clock of the machine."""
    async with broker_of(request.param, redis_server, Clock()) as broker:
        yield broker


@pytest.fixture
async def memory(clock: SteeredClock) -> AsyncIterator[Broker]:
    """Yield a broker whose clock is that of the test."""
    broker = in_memory(clock)
    yield broker
    await broker.aclose()


@pytest.fixture
def inspector(broker: Broker) -> Inspector:
    return Inspector(broker)


@pytest.fixture
def make(broker: Broker, clock: SteeredClock) -> Make:
    """Return a function that makes schedulers with the clock of the test; none of them runs."""

    def scheduler(**options: Unpack[SchedulerOptions]) -> Scheduler:
        return Scheduler(broker, **{**options, "clock": clock})

    return scheduler


async def history(inspector: Inspector, entry_id: str) -> list[SchedulerEvent]:
    return await inspector.scheduler_events(entry_id, size=1000)


async def count(inspector: Inspector, entry_id: str) -> int:
    """Return how often an entry was enqueued."""
    return len(await history(inspector, entry_id))


# -- pause -----------------------------------------------------------------------------------------


async def test_the_ticks_of_a_paused_entry_are_left_out(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    scheduler = make()
    paused = scheduler.register(MINUTELY, TASK)
    other = scheduler.register(MINUTELY, Task("other", queue="q"))
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(paused)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert [await count(inspector, entry) for entry in (paused, other)] == [0, 2]


async def test_all_schedulers_obey(make: Make, clock: SteeredClock, inspector: Inspector) -> None:
    first, second = make(), make()
    entry = first.register(MINUTELY, TASK)
    second.register(MINUTELY, TASK)
    await advance_and_step(first, clock)
    await advance_and_step(second, clock)
    await advance_and_step(first, clock, minutes=1)
    await inspector.pause_entry(entry)
    clock.advance(minutes=1)
    await asyncio.gather(ticker_of(first).step(), ticker_of(second).step())
    assert await count(inspector, entry) == 1


async def test_a_scheduler_that_starts_later_obeys(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    before, after = make(), make(catch_up="all")
    entry = before.register(MINUTELY, TASK)
    await advance_and_step(before, clock)
    await inspector.pause_entry(entry)
    after.register(MINUTELY, TASK)
    await advance_and_step(after, clock, minutes=3)
    assert await count(inspector, entry) == 0


async def test_an_entry_may_be_paused_while_no_scheduler_runs(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    scheduler = make()
    entry = scheduler.register(MINUTELY, TASK)
    async with scheduler.running():
        await ticker_of(scheduler).steps.next()
    assert await inspector.scheduler_entries() == []
    await inspector.pause_entry(entry)
    again = make(catch_up="all")
    again.register(MINUTELY, TASK)
    await advance_and_step(again, clock, minutes=2)
    assert await count(inspector, entry) == 0


async def test_a_changed_definition_is_another_entry_which_is_not_paused(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    scheduler = make()
    old = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(old)
    new = scheduler.register(MINUTELY, TASK, max_retry=1)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert [await count(inspector, entry) for entry in (old, new)] == [0, 1]


async def test_a_tick_that_is_being_enqueued_is_not_stopped(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    async def pause(_task: Task) -> None:
        await inspector.pause_entry(entry)

    scheduler = make(pre_enqueue=pause)
    entry = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count(inspector, entry) == 1


async def test_a_pause_stops_a_catch_up_after_the_tick_that_is_being_enqueued(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    async def pause(_task: Task) -> None:
        await inspector.pause_entry(entry)

    scheduler = make(pre_enqueue=pause, catch_up="all")
    entry = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=20)
    assert await count(inspector, entry) == 1


async def test_the_entries_of_a_manager_can_be_paused(
    broker: Broker, clock: SteeredClock, inspector: Inspector
) -> None:
    def provide() -> Sequence[PeriodicTask]:
        return [PeriodicTask(spec=MINUTELY, task=TASK)]

    manager = PeriodicTaskManager(broker, provide, clock=clock)
    async with manager.running():
        scheduler = manager._scheduler
        await wait_until(inspector.scheduler_entries)
        (entry,) = await inspector.scheduler_entries()
        await inspector.pause_entry(entry.id)
        steps = ticker_of(scheduler).steps.next()
        clock.advance(minutes=1)
        await steps
        (shown,) = await inspector.scheduler_entries()
    assert (entry.paused, shown.paused) == (False, True)
    assert await count(inspector, entry.id) == 0


async def test_an_entry_of_an_app_is_paused_in_its_log(
    broker: Broker, clock: SteeredClock, inspector: Inspector, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(broker)

    @app.periodic(MINUTELY)
    async def often() -> None: ...

    scheduler = app.scheduler(clock=clock)
    (entry,) = scheduler._entries
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(entry)
    with caplog.at_level(logging.INFO, "pyasynq.scheduler"):
        await advance_and_step(scheduler, clock, minutes=1)
        await advance_and_step(scheduler, clock, minutes=1)
        await inspector.resume_entry(entry)
        await advance_and_step(scheduler, clock, minutes=1)
    assert [record.getMessage() for record in caplog.records] == [
        f"<Task '{often.type}', 2 bytes> at '* * * * *' is paused: its ticks are left out",
        f"<Task '{often.type}', 2 bytes> at '* * * * *' is resumed",
    ]


# -- resume ----------------------------------------------------------------------------------------


async def test_a_resumed_entry_is_enqueued_from_its_next_tick_on(
    memory: Broker, clock: SteeredClock
) -> None:
    scheduler, inspector = Scheduler(memory, clock=clock), Inspector(memory)
    entry = scheduler.register(MINUTELY, TASK)
    start = clock.now()
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(entry)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, seconds=30)
    await inspector.resume_entry(entry)
    await advance_and_step(scheduler, clock, seconds=29)
    assert await history(inspector, entry) == []
    await advance_and_step(scheduler, clock, seconds=1)
    (event,) = await history(inspector, entry)
    assert event.enqueued_at == start + timedelta(minutes=2)


async def test_relative_ticks_stay_where_they_were(memory: Broker, clock: SteeredClock) -> None:
    scheduler, inspector = Scheduler(memory, clock=clock), Inspector(memory)
    entry = scheduler.register("@every 1h", TASK)
    start = clock.now()
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(entry)
    await advance_and_step(scheduler, clock, minutes=90)
    await inspector.resume_entry(entry)
    again = Scheduler(memory, clock=clock)
    again.register("@every 1h", TASK)
    await advance_and_step(again, clock)
    assert again.upcoming == scheduler.upcoming == start + timedelta(hours=2)


async def test_ticks_in_a_pause_are_not_made_up_for_after_it(
    make: Make, clock: SteeredClock, inspector: Inspector
) -> None:
    running = make(catch_up="all")
    entry = running.register(MINUTELY, TASK)
    await advance_and_step(running, clock)
    await inspector.pause_entry(entry)
    await advance_and_step(running, clock, minutes=5)
    await advance_and_step(running, clock, seconds=30)
    await inspector.resume_entry(entry)
    restarted = make(catch_up="all")
    restarted.register(MINUTELY, TASK)
    await advance_and_step(running, clock)
    await advance_and_step(restarted, clock)
    assert await count(inspector, entry) == 0


async def test_ticks_are_not_made_up_for_if_no_scheduler_ran_in_the_pause(
    memory: Broker, clock: SteeredClock
) -> None:
    before, inspector = Scheduler(memory, clock=clock), Inspector(memory)
    entry = before.register(MINUTELY, TASK)
    await advance_and_step(before, clock)
    await inspector.pause_entry(entry)
    clock.advance(minutes=5)
    await inspector.resume_entry(entry)
    after = Scheduler(memory, clock=clock, catch_up="all")
    after.register(MINUTELY, TASK)
    await advance_and_step(after, clock, minutes=2)
    assert await count(inspector, entry) == 2


async def test_a_running_scheduler_obeys_pause_and_resume(
    live: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.scheduler")
    scheduler, inspector = Scheduler(live), Inspector(live)
    entry = scheduler.register("@every 1s", TASK)
    async with scheduler.running():
        await wait_until(lambda: count(inspector, entry))
        await inspector.pause_entry(entry)
        await wait_until(lambda: "is paused" in caplog.text)
        before = await count(inspector, entry)
        await ticker_of(scheduler).steps.next()
        assert await count(inspector, entry) == before
        await inspector.resume_entry(entry)
        await wait_until(lambda: "is resumed" in caplog.text)

        async def is_enqueued() -> bool:
            return await count(inspector, entry) > before

        await wait_until(is_enqueued)


# -- faults ----------------------------------------------------------------------------------------


class RecordingPort:
    """Wraps the port of a broker: counts reads of the pauses, and fails if a test says so."""

    def __init__(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.error: Exception | None = None
        self.kept: list[Sequence[EntryTask]] = []
        self._pauses, self._keep = broker.entries.pauses, broker.entries.keep
        monkeypatch.setattr(broker.entries, "pauses", self.pauses)
        monkeypatch.setattr(broker.entries, "keep", self.keep)

    async def pauses(self) -> Mapping[str, float]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return await self._pauses()

    async def keep(self, tasks: Sequence[EntryTask]) -> None:
        self.kept.append(tasks)
        if self.error is not None:
            raise self.error
        await self._keep(tasks)


@pytest.fixture
def port(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> RecordingPort:
    return RecordingPort(broker, monkeypatch)


AWAY = BrokerUnavailableError("away")


async def test_the_pauses_are_read_once_for_all_due_entries(
    make: Make, clock: SteeredClock, port: RecordingPort
) -> None:
    scheduler = make()
    entries = [scheduler.register(MINUTELY, Task("t", b"%d" % n)) for n in range(100)]
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, seconds=59)
    assert (len(set(entries)), port.reads) == (100, 0)
    await advance_and_step(scheduler, clock, seconds=1)
    assert port.reads == 1


async def test_while_pauses_cannot_be_read_the_last_known_ones_hold(
    make: Make,
    clock: SteeredClock,
    port: RecordingPort,
    inspector: Inspector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = make()
    paused = scheduler.register(MINUTELY, TASK)
    other = scheduler.register(MINUTELY, Task("other", queue="q"))
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(paused)
    await advance_and_step(scheduler, clock, minutes=1)
    port.error = AWAY
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert [await count(inspector, entry) for entry in (paused, other)] == [0, 3]
    assert caplog.text.count("away; trying again until it works") == 1


@pytest.mark.parametrize("error", [AWAY, BrokerReadOnlyError("demoted")])
async def test_nothing_is_enqueued_before_the_pauses_could_be_read_once(
    make: Make, clock: SteeredClock, port: RecordingPort, inspector: Inspector, error: BrokerError
) -> None:
    scheduler = make()
    entry = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    port.error = error
    with pytest.raises(type(error)):
        await advance_and_step(scheduler, clock, minutes=1)
    port.error = None
    await advance_and_step(scheduler, clock)
    assert await count(inspector, entry) == 1


async def test_a_missing_permission_stops_no_ticks(
    make: Make, clock: SteeredClock, port: RecordingPort, inspector: Inspector
) -> None:
    scheduler = make()
    entry = scheduler.register(MINUTELY, TASK)
    port.error = BrokerAuthError("NOPERM")
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count(inspector, entry) == 1


async def test_a_broken_key_stops_no_ticks(
    redis_url: str, clock: SteeredClock, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await r.set("asynq:scheduler_pauses", "x")
    async with AsyncExitStack() as stack:
        broker = open_broker(redis_url)
        stack.push_async_callback(broker.aclose)
        scheduler = Scheduler(broker, clock=clock)
        entry = scheduler.register(MINUTELY, TASK)
        await advance_and_step(scheduler, clock)
        await advance_and_step(scheduler, clock, minutes=1)
        assert await count(Inspector(broker), entry) == 1
    assert caplog.text.count("WRONGTYPE") == 1
    await r.delete("asynq:scheduler_pauses")


# -- what is kept ----------------------------------------------------------------------------------


async def test_entries_are_kept_at_once_and_every_hour(
    make: Make, clock: SteeredClock, port: RecordingPort
) -> None:
    scheduler = make()
    first = scheduler.register("@yearly", TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=59)
    second = scheduler.register("@yearly", Task("other"))
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    ids = [[task.entry_id for task in tasks] for tasks in port.kept]
    assert ids == [[first], [second], [first]]


async def test_entries_are_kept_when_the_broker_is_back(
    make: Make, clock: SteeredClock, port: RecordingPort, broker: Broker
) -> None:
    scheduler = make()
    entry = scheduler.register("@yearly", TASK)
    port.error = AWAY
    await advance_and_step(scheduler, clock)
    assert await broker.entries.task(entry) is None
    port.error = None
    await advance_and_step(scheduler, clock)
    assert await broker.entries.task(entry) is not None


async def test_an_entry_is_kept_until_after_its_next_tick(
    make: Make, clock: SteeredClock, broker: Broker
) -> None:
    scheduler = make()
    entry = scheduler.register("@every 1000h", TASK)
    await advance_and_step(scheduler, clock)
    task = await broker.entries.task(entry)
    assert task is not None
    assert timedelta(seconds=task.ttl_s) == 1000 * HOUR + timedelta(days=90)


async def test_the_pause_of_an_unregistered_entry_ends_after_a_day(
    memory: Broker, clock: SteeredClock
) -> None:
    scheduler, inspector = Scheduler(memory, clock=clock), Inspector(memory)
    entry = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(entry)
    scheduler.unregister(entry)
    await advance_and_step(scheduler, clock)
    clock.advance(hours=23)
    assert await memory.entries.pauses() != {}
    clock.advance(hours=2)
    assert await memory.entries.pauses() == {}


async def test_an_entry_stays_paused_that_another_scheduler_has(
    memory: Broker, clock: SteeredClock
) -> None:
    first, second = Scheduler(memory, clock=clock), Scheduler(memory, clock=clock)
    entry = first.register(MINUTELY, TASK)
    second.register(MINUTELY, TASK)
    await advance_and_step(first, clock)
    await advance_and_step(second, clock)
    await Inspector(memory).pause_entry(entry)
    first.unregister(entry)
    await advance_and_step(first, clock)
    await advance_and_step(second, clock, hours=2)
    await advance_and_step(second, clock, hours=48)
    assert await count(Inspector(memory), entry) == 0


async def test_an_entry_that_is_registered_again_within_a_day_is_still_paused(
    memory: Broker, clock: SteeredClock
) -> None:
    scheduler, inspector = Scheduler(memory, clock=clock), Inspector(memory)
    entry = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await inspector.pause_entry(entry)
    scheduler.unregister(entry)
    await advance_and_step(scheduler, clock)
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock, hours=20)
    await advance_and_step(scheduler, clock, hours=20)
    assert await count(inspector, entry) == 0
    assert await memory.entries.pauses() != {}


class RefusingCodec(Envelope):
    """A codec that seals nothing."""

    def seal(self, payload: bytes, context: CodecContext) -> bytes:
        raise ValueError("no key")


async def test_an_entry_that_cannot_be_sealed_is_not_kept(
    make: Make, clock: SteeredClock, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = make(codecs=[RefusingCodec()])
    entry = scheduler.register("@yearly", TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await broker.entries.task(entry) is None
    assert caplog.text.count("cannot be controlled: ") == 1
