"""Go enqueues, Python works."""

from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import Server, SkipRetry, TaskState
from tests.interop.gopeer import Peer
from tests.interop.handlers import Handler
from tests.support.queue_view import RedisQueue

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


async def test_everything_go_says_of_a_task_arrives(go_peer: Peer, redis_url: str) -> None:
    deadline = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    [info] = await go_peer.enqueue(
        "email:send",
        b"\x00\xff",
        headers={"trace": "é", "empty": ""},
        queue="low",
        max_retry=7,
        deadline=deadline,
    )
    handler = Handler()
    async with Server(redis_url, queues={"low": 1}).running(handler):
        [task] = await handler.wait_for()
    assert (task.id, task.queue, task.type) == (info.id, "low", "email:send")
    assert (task.payload, task.headers) == (b"\x00\xff", {"trace": "é", "empty": ""})
    assert (task.retried, task.max_retry, task.deadline) == (0, 7, deadline)


async def test_a_task_done_by_python_is_gone_for_go(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    [info] = await go_peer.enqueue("t", queue="q")
    handler = Handler()
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    [queue] = await go_peer.inspect("queue", "q")
    assert (queue["size"], queue["processed"], queue["failed"]) == (0, 1, 0)
    assert not await RedisQueue(r, "q").exists(info.id)


async def test_a_task_with_retention_is_completed_with_its_result(
    go_peer: Peer, redis_url: str
) -> None:
    [info] = await go_peer.enqueue("t", b"p", queue="q", retention=HOUR)
    handler = Handler(result=b"\x00sent")
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    [task] = await go_peer.tasks("q", "completed")
    assert (task.id, task.result, task.retention) == (info.id, b"\x00sent", HOUR)
    assert task.completed_at is not None


async def test_gos_timeout_ends_a_python_handler(go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", queue="q", timeout=SECOND, max_retry=0)
    handler = Handler(held=True)
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for_cancelled()
    [task] = await go_peer.tasks("q", "archived")
    assert task.last_error == "context deadline exceeded"


async def test_gos_scheduled_task_runs_when_it_is_due(go_peer: Peer, redis_url: str) -> None:
    due = datetime.now(UTC) + SECOND
    [info] = await go_peer.enqueue("t", queue="q", process_at=due)
    handler = Handler()
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    assert info.state is TaskState.SCHEDULED
    # Go drops the fraction of a second.
    assert datetime.now(UTC) >= due.replace(microsecond=0)


async def test_a_task_that_fails_waits_for_its_retry(go_peer: Peer, redis_url: str) -> None:
    [info] = await go_peer.enqueue("t", b"p", headers={"k": "v"}, queue="q", max_retry=3)
    handler = Handler(error=ValueError("boom"))
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    [task] = await go_peer.tasks("q", "retry")
    assert (task.id, task.payload, task.headers) == (info.id, b"p", {"k": "v"})
    assert (task.retried, task.max_retry, task.last_error) == (1, 3, "ValueError: boom")
    assert task.last_failed_at is not None


@pytest.mark.parametrize(
    ("max_retry", "error"),
    [(0, ValueError("boom")), (25, SkipRetry("boom"))],
    ids=["no retries left", "told to skip them"],
)
async def test_a_task_that_fails_for_good_is_archived(
    max_retry: int, error: Exception, go_peer: Peer, redis_url: str
) -> None:
    [info] = await go_peer.enqueue("t", queue="q", max_retry=max_retry)
    handler = Handler(error=error)
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    [task] = await go_peer.tasks("q", "archived")
    [queue] = await go_peer.inspect("queue", "q")
    assert (task.id, task.retried) == (info.id, 0)
    assert (queue["processed"], queue["failed"]) == (1, 1)


async def test_a_task_go_retried_arrives_with_its_count(go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", b"p", queue="q", headers={"k": "v"})
    async with go_peer.work(queues="q", fail="t=boom", retry_delay=HOUR) as worker:
        await worker.wait_for("done")
    await go_peer.inspect("runall", "q", "retry")
    handler = Handler()
    async with Server(redis_url, queues={"q": 1}).running(handler):
        [task] = await handler.wait_for()
    assert (task.retried, task.payload, task.headers) == (1, b"p", {"k": "v"})


async def test_tasks_run_in_the_order_go_enqueued_them(go_peer: Peer, redis_url: str) -> None:
    enqueued = await go_peer.enqueue("t", queue="q", count=20)
    handler = Handler()
    async with Server(redis_url, queues={"q": 1}, concurrency=1).running(handler):
        tasks = await handler.wait_for(20)
    assert [task.id for task in tasks] == [info.id for info in enqueued]
