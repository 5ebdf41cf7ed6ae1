"""The tools of both languages show the schedulers of both."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pyasynq import EntryNotPausableError, Inspector, Scheduler, Task
from pyasynq.broker import Broker, open_broker
from pyasynq.core import option_texts
from pyasynq.core.info import SchedulerEntry
from pyasynq.core.options import Options
from tests.interop.gopeer import Event, Peer
from tests.interop.polling import answer

OPTIONS: dict[str, Any] = {
    "queue": "q (low)",
    "max_retry": 3,
    "timeout": timedelta(minutes=1.5),
    "deadline": datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC),
    "unique": timedelta(hours=100),
    "process_in": timedelta(hours=36),
    "retention": timedelta(days=1),
}
NOT_SHOWN: dict[str, Any] = {"group": "g", "task_id": "x", "headers": {"k (1)": 'v "é" <&>'}}
"""Option texts that Go's inspector drops."""


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """Yield a broker on the Redis of the schedulers."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


async def go_shows(peer: Peer, count: int) -> list[Event]:
    """Wait until Go shows *count* entries; return them."""

    async def ask() -> list[Event] | None:
        entries = await peer.inspect("entries")
        return entries if len(entries) == count else None

    return await answer(ask)


async def go_tells(peer: Peer, entry_id: str) -> list[Event]:
    """Wait until Go shows events of an entry; return them."""

    async def ask() -> list[Event] | None:
        return await peer.inspect("events", entry_id) or None

    return await answer(ask)


async def test_go_shows_an_entry_with_its_options(go_peer: Peer, redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    entry_id = scheduler.register(
        "0 0 1 1 *", Task("email:send", b"\x00\xff"), **OPTIONS, **NOT_SHOWN
    )
    async with scheduler.running():
        [entry] = await go_shows(go_peer, 1)
    assert (entry["id"], entry["spec"], entry["type"]) == (entry_id, "0 0 1 1 *", "email:send")
    assert entry["payload"] == "AP8="
    assert entry["prev"] is None
    assert datetime.fromisoformat(entry["next"]) > datetime.now(UTC)
    assert option_texts.parse_options(entry["options"]) == Options(**OPTIONS)


async def test_go_shows_that_an_entry_never_comes(go_peer: Peer, redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("0 0 30 2 *", Task("t"))
    async with scheduler.running():
        [entry] = await go_shows(go_peer, 1)
    assert (entry["next"], entry["prev"]) == (None, None)


async def test_go_shows_nothing_of_a_scheduler_that_ended(go_peer: Peer, redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("@hourly", Task("t"))
    async with scheduler.running():
        await go_shows(go_peer, 1)
    assert await go_peer.inspect("entries") == []


async def test_go_tells_what_was_enqueued(go_peer: Peer, redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    entry_id = scheduler.register("@every 1s", Task("t"), queue="q")
    async with scheduler.running():
        *_, event = await go_tells(go_peer, entry_id)
    task = await go_peer.task("q", event["task_id"])
    assert (task.type, task.queue) == ("t", "q")


async def test_go_works_for_a_scheduler_of_python(go_peer: Peer, redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("t", b"payload"), queue="q")
    async with go_peer.work(queues="q") as worker, scheduler.running():
        [event, *_] = await worker.wait_for("done")
        assert event["event"] == "done"


async def test_an_entry_of_go_is_read(go_peer: Peer, broker: Broker) -> None:
    async with go_peer.schedule(
        spec="@every 1h", type="t", payload=b"p", queue="q", max_retry=3
    ) as scheduler:
        [ready] = scheduler.seen("ready")

        async def ask() -> list[SchedulerEntry] | None:
            return await broker.schedules.entries() or None

        [entry] = await answer(ask)
    assert (entry.id, entry.spec) == (ready["entry"], "@every 1h")
    assert (entry.task.type, entry.task.payload) == ("t", b"p")
    assert entry.options == Options(queue="q", max_retry=3)


async def test_events_of_go_are_read(go_peer: Peer, broker: Broker) -> None:
    async with go_peer.schedule(spec="@every 1s", type="t", queue="q") as scheduler:
        [ready] = scheduler.seen("ready")
        await scheduler.wait_for("enqueued", count=2)
        events = await broker.schedules.events(ready["entry"], page=1, size=10)
    told = [event["task"]["id"] for event in scheduler.seen("enqueued")]
    assert [event.task_id for event in events] == told[: len(events)][::-1]


async def test_schedulers_of_both_are_shown_side_by_side(
    go_peer: Peer, redis_url: str, broker: Broker
) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("@hourly", Task("python"))
    async with go_peer.schedule(spec="@hourly", type="go"), scheduler.running():
        await go_shows(go_peer, 2)
        entries = await broker.schedules.entries()
    assert {entry.task.type for entry in entries} == {"python", "go"}


# -- control ---------------------------------------------------------------------------------------


async def go_entry(broker: Broker) -> SchedulerEntry:
    """Wait until Go's scheduler lists its entry; return it."""

    async def ask() -> SchedulerEntry | None:
        entries = await broker.schedules.entries()
        return entries[0] if entries else None

    return await answer(ask)


async def test_an_entry_of_go_cannot_be_paused(go_peer: Peer, broker: Broker) -> None:
    async with go_peer.schedule(spec="@every 1h", type="t", queue="q"):
        entry = await go_entry(broker)
        with pytest.raises(EntryNotPausableError):
            await Inspector(broker).pause_entry(entry.id)


async def test_go_enqueues_although_python_has_paused_an_equal_entry(
    go_peer: Peer, broker: Broker
) -> None:
    scheduler, inspector = Scheduler(broker), Inspector(broker)
    entry_id = scheduler.register("@every 1s", Task("t", b"p"), queue="q")
    await scheduler.tick()
    await inspector.pause_entry(entry_id)
    async with (
        scheduler.running(),
        go_peer.schedule(spec="@every 1s", type="t", payload=b"p", queue="q") as go,
    ):
        await go.wait_for("enqueued", count=3)
    assert await inspector.scheduler_events(entry_id) == []


async def test_python_runs_an_entry_of_go(go_peer: Peer, broker: Broker) -> None:
    async with go_peer.schedule(spec="@every 1h", type="t", payload=b"p", queue="q", max_retry=3):
        entry = await go_entry(broker)
        info = await Inspector(broker).run_entry(entry.id)
        [event] = await go_tells(go_peer, entry.id)
    task = await go_peer.task("q", info.id)
    assert event["task_id"] == info.id
    assert (task.type, task.payload, task.max_retry) == ("t", b"p", 3)


async def test_go_shows_what_was_run_by_hand_and_the_paused_entry(
    go_peer: Peer, broker: Broker
) -> None:
    scheduler, inspector = Scheduler(broker), Inspector(broker)
    entry_id = scheduler.register("@hourly", Task("t", queue="q"))
    await scheduler.tick()
    await inspector.pause_entry(entry_id)
    async with scheduler.running():
        [entry] = await go_shows(go_peer, 1)
        info = await inspector.run_entry(entry_id)
        [event] = await go_tells(go_peer, entry_id)
    assert (entry["id"], event["task_id"]) == (entry_id, info.id)
