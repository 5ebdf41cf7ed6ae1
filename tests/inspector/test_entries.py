"""An inspector pauses, resumes and runs the entries of schedulers."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import (
    Client,
    CodecError,
    DuplicateTaskError,
    EntryNotFoundError,
    EntryNotPausableError,
    EntryNotPausedError,
    EntryPausedError,
    Inspector,
    OptionError,
    Scheduler,
    Task,
    TaskIDConflictError,
    TaskInfo,
    TaskState,
)
from pyasynq.broker import Broker, open_broker
from pyasynq.core.codec import HEADER
from pyasynq.core.info import SchedulerEntry
from pyasynq.core.options import Options
from tests.support.clocks import SteeredClock
from tests.support.codecs import Envelope, Zlib
from tests.support.factories import an_entry
from tests.support.waiting import Lapse, wait_until

HOUR = timedelta(hours=1)
TASK = Task("t", b"p", headers={"a": "1"}, queue="low", max_retry=7)
CODECS = [Zlib(), Envelope()]


@pytest.fixture
def scheduler(broker: Broker) -> Scheduler:
    return Scheduler(broker)


@pytest.fixture
def inspector(broker: Broker) -> Inspector:
    return Inspector(broker)


@pytest.fixture
async def entry_id(scheduler: Scheduler) -> str:
    """Return an entry that a scheduler has, which does not run now."""
    found = scheduler.register("@hourly", TASK, retention=HOUR)
    await scheduler.tick()
    return found


async def list_entry(broker: Broker, entry: SchedulerEntry) -> None:
    """List an entry as a scheduler of Go or of an earlier version does."""
    await broker.schedules.write_entries("h:1:s", [entry], ttl_s=20)


async def stored(inspector: Inspector, info: TaskInfo) -> TaskInfo:
    return await inspector.task_info(info.queue, info.id)


# -- pause and resume ------------------------------------------------------------------------------


async def test_a_paused_entry_is_listed_as_paused(
    scheduler: Scheduler, inspector: Inspector
) -> None:
    paused = scheduler.register("@hourly", TASK)
    scheduler.register("@daily", TASK)
    async with scheduler.running():
        await scheduler.tick()
        await wait_until(inspector.scheduler_entries)
        await inspector.pause_entry(paused)
        listed = {entry.spec: entry.paused for entry in await inspector.scheduler_entries()}
        await inspector.resume_entry(paused)
        later = {entry.spec: entry.paused for entry in await inspector.scheduler_entries()}
    assert listed == {"@hourly": True, "@daily": False}
    assert later == {"@hourly": False, "@daily": False}


async def test_a_paused_entry_cannot_be_paused(inspector: Inspector, entry_id: str) -> None:
    await inspector.pause_entry(entry_id)
    with pytest.raises(EntryPausedError, match=f"{entry_id}' is already paused"):
        await inspector.pause_entry(entry_id)


async def test_an_entry_that_is_not_paused_cannot_be_resumed(
    inspector: Inspector, entry_id: str
) -> None:
    with pytest.raises(EntryNotPausedError, match=f"{entry_id}' is not paused"):
        await inspector.resume_entry(entry_id)


async def test_an_unknown_entry_can_be_neither_paused_nor_run(inspector: Inspector) -> None:
    with pytest.raises(EntryNotFoundError, match="'nosuch'"):
        await inspector.pause_entry("nosuch")
    with pytest.raises(EntryNotFoundError, match="'nosuch'"):
        await inspector.run_entry("nosuch")


@pytest.mark.parametrize("entry_id", ["", "x" * 256, None])
async def test_what_cannot_be_an_id_is_refused(inspector: Inspector, entry_id: str) -> None:
    with pytest.raises(OptionError, match="entry_id"):
        await inspector.pause_entry(entry_id)
    with pytest.raises(OptionError, match="entry_id"):
        await inspector.resume_entry(entry_id)
    with pytest.raises(OptionError, match="entry_id"):
        await inspector.run_entry(entry_id)


async def test_an_entry_whose_schedulers_do_not_obey_cannot_be_paused(
    inspector: Inspector, broker: Broker
) -> None:
    await list_entry(broker, an_entry("e"))
    with pytest.raises(EntryNotPausableError, match="'e' cannot be paused"):
        await inspector.pause_entry("e")
    (entry,) = await inspector.scheduler_entries()
    assert not entry.paused


# -- run -------------------------------------------------------------------------------------------


async def test_a_run_has_all_options_of_the_entry_and_its_task(
    inspector: Inspector, entry_id: str
) -> None:
    info = await inspector.run_entry(entry_id)
    task = await stored(inspector, info)
    assert (task.type, task.payload, task.headers) == ("t", b"p", {"a": "1"})
    assert (task.queue, task.max_retry, task.retention) == ("low", 7, HOUR)
    assert (task.state, info.state) == (TaskState.PENDING, TaskState.PENDING)


async def test_given_options_win(inspector: Inspector, entry_id: str) -> None:
    info = await inspector.run_entry(entry_id, queue="high", process_in=HOUR, headers={"b": "2"})
    task = await stored(inspector, info)
    assert (task.queue, task.state, task.max_retry) == ("high", TaskState.SCHEDULED, 7)
    assert task.headers == {"a": "1", "b": "2"}


async def test_an_option_that_cannot_work_is_refused(inspector: Inspector, entry_id: str) -> None:
    with pytest.raises(OptionError, match="max_retry"):
        await inspector.run_entry(entry_id, max_retry=-1)


async def test_the_history_shows_a_run(inspector: Inspector, entry_id: str, lapse: Lapse) -> None:
    info = await inspector.run_entry(entry_id)
    (event,) = await inspector.scheduler_events(entry_id)
    assert event.task_id == info.id
    assert event.enqueued_at.timestamp() in lapse


async def test_a_paused_entry_can_be_run(inspector: Inspector, entry_id: str) -> None:
    await inspector.pause_entry(entry_id)
    info = await inspector.run_entry(entry_id)
    assert (await stored(inspector, info)).state is TaskState.PENDING


async def test_a_run_changes_no_tick_and_each_is_enqueued_beside_the_other(
    broker: Broker, inspector: Inspector
) -> None:
    clock = SteeredClock(datetime.now(UTC) - HOUR)
    scheduler = Scheduler(broker, clock=clock)
    entry_id = scheduler.register("@every 1m", TASK)
    await scheduler.tick()
    before = scheduler.upcoming
    first = await inspector.run_entry(entry_id)
    await scheduler.tick()
    assert scheduler.upcoming == before
    clock.advance(minutes=1)
    await scheduler.tick()
    second = await inspector.run_entry(entry_id)
    events = await inspector.scheduler_events(entry_id)
    assert len({event.task_id for event in events} | {first.id, second.id}) == 3
    assert (await inspector.queue_info("low")).pending == 3


async def test_a_run_is_refused_while_another_task_holds_the_lock(
    scheduler: Scheduler, inspector: Inspector
) -> None:
    entry_id = scheduler.register("@hourly", TASK, unique=HOUR)
    await scheduler.tick()
    info = await inspector.run_entry(entry_id)
    with pytest.raises(DuplicateTaskError):
        await inspector.run_entry(entry_id)
    assert [it.task_id for it in await inspector.scheduler_events(entry_id)] == [info.id]


async def test_a_run_is_refused_if_the_id_of_the_entry_is_taken(
    scheduler: Scheduler, inspector: Inspector
) -> None:
    entry_id = scheduler.register("@hourly", TASK, task_id="x")
    await scheduler.tick()
    assert (await inspector.run_entry(entry_id)).id == "x"
    with pytest.raises(TaskIDConflictError):
        await inspector.run_entry(entry_id)
    assert (await inspector.run_entry(entry_id, task_id="y")).id == "y"


async def test_a_run_is_told_even_if_the_history_is_broken(
    redis_url: str, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    broker = open_broker(redis_url)
    scheduler, inspector = Scheduler(broker), Inspector(broker)
    entry_id = scheduler.register("@hourly", TASK)
    await scheduler.tick()
    await r.set(f"asynq:scheduler_history:{entry_id}", "x")
    info = await inspector.run_entry(entry_id)
    assert (await stored(inspector, info)).state is TaskState.PENDING
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    await r.delete(f"asynq:scheduler_history:{entry_id}")
    await broker.aclose()


# -- sealed payloads -------------------------------------------------------------------------------


async def test_a_sealed_entry_is_run_with_its_codecs(broker: Broker) -> None:
    scheduler = Scheduler(broker, codecs=CODECS)
    entry_id = scheduler.register("@hourly", TASK)
    await scheduler.tick()
    blind, opening = Inspector(broker), Inspector(broker, codecs=CODECS)
    with pytest.raises(CodecError, match="envelope"):
        await blind.run_entry(entry_id)
    info = await opening.run_entry(entry_id)
    assert (await stored(opening, info)).payload == info.payload == b"p"
    sealed = await stored(blind, info)
    assert (sealed.headers[HEADER], sealed.sealed) == ("zlib,envelope", "zlib,envelope")


async def test_a_sealed_entry_can_be_paused_without_its_codecs(broker: Broker) -> None:
    scheduler = Scheduler(broker, codecs=CODECS)
    entry_id = scheduler.register("@hourly", TASK)
    await scheduler.tick()
    await Inspector(broker).pause_entry(entry_id)
    with pytest.raises(EntryPausedError):
        await Inspector(broker).pause_entry(entry_id)


# -- entries of Go and of earlier versions ---------------------------------------------------------


async def test_an_entry_that_is_only_listed_is_run_with_what_is_listed(
    inspector: Inspector, broker: Broker
) -> None:
    options = Options(queue="q", max_retry=3, headers={"k": "v"})
    await list_entry(broker, an_entry("e", payload=b"p", options=options))
    info = await inspector.run_entry("e")
    task = await stored(inspector, info)
    assert (task.queue, task.type, task.payload, task.max_retry) == ("q", "t", b"p", 3)
    assert task.headers == {"k": "v"}
    assert [event.task_id for event in await inspector.scheduler_events("e")] == [info.id]


async def test_an_entry_that_lists_no_queue_needs_one(inspector: Inspector, broker: Broker) -> None:
    await list_entry(broker, an_entry("e", options=Options(max_retry=3)))
    with pytest.raises(OptionError, match="queue must be given: the scheduler of entry 'e'"):
        await inspector.run_entry("e")
    info = await inspector.run_entry("e", queue="high")
    assert (info.queue, info.max_retry) == ("high", 3)


async def test_an_empty_payload_in_the_list_is_none(inspector: Inspector, broker: Broker) -> None:
    """Go's lock of a task without payload has another name than that of an empty payload."""
    await list_entry(broker, an_entry("e", payload=b"", options=Options(queue="q", unique=HOUR)))
    await inspector.run_entry("e")
    async with Client(broker) as client:
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("t", queue="q"), unique=HOUR)
        await client.enqueue(Task("t", b"", queue="q"), unique=HOUR)
