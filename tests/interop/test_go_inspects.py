"""Go's inspector reads every state that Python wrote, with all fields."""

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from pyasynq import Client, Server, SkipRetry, Task, TaskInfo, TaskState
from tests.interop.gopeer import Peer
from tests.interop.handlers import Handler
from tests.interop.outcomes import ids

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DEADLINE = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)

FULL = Task(
    "email:send",
    b"\x00\xff",
    headers={"trace": "é", "empty": ""},
    queue="q",
    max_retry=7,
    timeout=90 * SECOND,
    deadline=DEADLINE,
    retention=HOUR,
)
BARE = Task("t", queue="q")


async def enqueue(redis_url: str, task: Task) -> TaskInfo:
    async with Client(redis_url) as client:
        return await client.enqueue(task)


async def enqueue_and_run(redis_url: str, task: Task, handler: Handler) -> TaskInfo:
    """Enqueue a task, let it run once, and return the info from the client."""
    info = await enqueue(redis_url, task)
    async with Server(
        redis_url, queues={"q": 1}, retry_delay=lambda _retried, _error, _task: HOUR
    ).running(handler):
        await handler.wait_for()
    return info


def is_recent(instant: datetime | None) -> bool:
    return instant is not None and abs(datetime.now(UTC) - instant) < timedelta(seconds=20)


@pytest.mark.parametrize("task", [FULL, BARE], ids=["full", "bare"])
async def test_a_pending_task(task: Task, go_peer: Peer, redis_url: str) -> None:
    info = await enqueue(redis_url, task)
    [read] = await go_peer.tasks("q", "pending")
    assert is_recent(read.next_process_at)
    assert replace(read, next_process_at=info.next_process_at) == info


@pytest.mark.parametrize("task", [FULL, BARE], ids=["full", "bare"])
async def test_a_scheduled_task(task: Task, go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(task, process_in=HOUR)
    assert await go_peer.tasks("q", "scheduled") == [info]


async def test_an_aggregating_task(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(FULL, group="g")
    assert await go_peer.tasks("q", "aggregating", "g") == [info]
    assert await go_peer.inspect("groups", "q") == [{"group": "g", "size": 1}]


async def test_an_active_task(go_peer: Peer, redis_url: str) -> None:
    info = await enqueue(redis_url, FULL)
    handler = Handler(held=True)
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
        [read] = await go_peer.tasks("q", "active")
        handler.release()
    assert read == replace(info, state=TaskState.ACTIVE, next_process_at=None)


async def test_a_task_waiting_for_its_retry(go_peer: Peer, redis_url: str) -> None:
    info = await enqueue_and_run(redis_url, FULL, Handler(error=ValueError("bööm")))
    [read] = await go_peer.tasks("q", "retry")
    assert is_recent(read.last_failed_at)
    assert is_recent(read.next_process_at and read.next_process_at - HOUR)
    assert read == replace(
        info,
        state=TaskState.RETRY,
        retried=1,
        last_error="ValueError: bööm",
        last_failed_at=read.last_failed_at,
        next_process_at=read.next_process_at,
    )


async def test_an_archived_task(go_peer: Peer, redis_url: str) -> None:
    info = await enqueue_and_run(redis_url, FULL, Handler(error=SkipRetry("broken")))
    [read] = await go_peer.tasks("q", "archived")
    assert is_recent(read.last_failed_at)
    assert read == replace(
        info,
        state=TaskState.ARCHIVED,
        last_error="broken",
        last_failed_at=read.last_failed_at,
        next_process_at=None,
    )


async def test_a_completed_task(go_peer: Peer, redis_url: str) -> None:
    info = await enqueue_and_run(redis_url, FULL, Handler(result=b"\x00sent"))
    [read] = await go_peer.tasks("q", "completed")
    assert is_recent(read.completed_at)
    assert read == replace(
        info,
        state=TaskState.COMPLETED,
        completed_at=read.completed_at,
        result=b"\x00sent",
        next_process_at=None,
    )


async def test_pending_tasks_in_the_order_they_were_enqueued(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        infos = await client.enqueue_many([BARE] * 5)
    assert [read.id for read in await go_peer.tasks("q", "pending")] == ids(infos)


async def test_the_counts_of_a_queue(go_peer: Peer, redis_url: str) -> None:
    await enqueue_and_run(redis_url, FULL, Handler())
    await enqueue_and_run(redis_url, BARE, Handler(error=ValueError()))
    await enqueue_and_run(redis_url, BARE, Handler(error=SkipRetry()))
    async with Client(redis_url) as client:
        await client.enqueue(BARE)
        await client.enqueue(BARE, process_in=HOUR)
        await client.enqueue(BARE, group="g")
    [queue] = await go_peer.inspect("queue", "q")
    states = [state.value for state in TaskState]
    assert {state: queue[state] for state in states} == dict.fromkeys(states, 1) | {"active": 0}
    assert (queue["size"], queue["groups"], queue["paused"]) == (6, 1, False)
    assert (queue["processed"], queue["failed"]) == (3, 2)
    assert (queue["processed_total"], queue["failed_total"]) == (3, 2)
    assert 0 < queue["latency"] < 20


async def test_the_history_of_a_queue(go_peer: Peer, redis_url: str) -> None:
    await enqueue_and_run(redis_url, BARE, Handler())
    await enqueue_and_run(redis_url, BARE, Handler(error=ValueError()))
    [today, yesterday] = await go_peer.inspect("history", "q", "2")
    assert (today["processed"], today["failed"]) == (2, 1)
    assert (yesterday["processed"], yesterday["failed"]) == (0, 0)


async def test_a_queue_is_known_from_the_first_task_on(go_peer: Peer, redis_url: str) -> None:
    await enqueue(redis_url, BARE)
    assert await go_peer.inspect("queues") == ["q"]


async def test_a_server_and_its_worker(go_peer: Peer, redis_url: str) -> None:
    info = await enqueue(redis_url, FULL)
    handler = Handler(held=True)
    server = Server(redis_url, queues={"q": 6, "low": 1}, concurrency=3, strict_priority=True)
    async with server.running(handler):
        await handler.wait_for()
        read = await go_peer.server_with(info.id)
        handler.release()
    assert (read["host"], read["pid"], read["status"]) == (
        socket.gethostname(),
        os.getpid(),
        "active",
    )
    assert (read["concurrency"], read["strict_priority"]) == (3, True)
    assert read["queues"] == {"q": 6, "low": 1}
    assert is_recent(datetime.fromisoformat(read["started"]))
    [worker] = read["active_workers"]
    assert (worker["task_id"], worker["task_type"], worker["queue"]) == (info.id, "email:send", "q")
    assert worker["task_payload"] == "AP8="
    assert is_recent(datetime.fromisoformat(worker["started"]))
    assert is_recent(datetime.fromisoformat(worker["deadline"]) - 90 * SECOND)


async def test_a_server_that_stopped_is_gone(go_peer: Peer, redis_url: str) -> None:
    await enqueue_and_run(redis_url, BARE, Handler())
    assert await go_peer.inspect("servers") == []
