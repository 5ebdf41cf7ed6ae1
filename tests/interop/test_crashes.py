"""A worker is killed; a worker of the other language takes over.

A lease ends 30 seconds after its last extension. Tests do not wait for that, but set the end of a
dead worker's lease to the past.
"""

import sys
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from redis.asyncio import Redis

from pyasynq import Client, Server, Task, TaskState
from tests.interop.gopeer import Peer, Worker, running
from tests.interop.handlers import Handler

NOW = timedelta()
HOUR = timedelta(hours=1)
LEASES = "asynq:{q}:lease"


def python_worker(redis_url: str) -> AbstractAsyncContextManager[Worker]:
    """Run a worker whose tasks take an hour."""
    program = Path(__file__).with_name("python_worker.py")
    return running([sys.executable, str(program), redis_url, "q", "3600"])


async def age_leases(r: Redis, *ids: str) -> None:
    """Set the end of these tasks' leases to 1970."""
    assert await r.zadd(LEASES, dict.fromkeys(ids, 1), xx=True, ch=True) == len(ids)


async def test_python_recovers_the_tasks_of_a_killed_go_worker(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    [first, second] = await go_peer.enqueue("t", b"p", headers={"k": "v"}, queue="q", count=2)
    async with go_peer.work(queues="q", sleep=HOUR) as worker:
        await worker.wait_for("start", count=2)
        await worker.kill()
    await age_leases(r, first.id, second.id)
    handler = Handler()
    async with Server(
        redis_url, queues={"q": 1}, retry_delay=lambda _retried, _error, _task: NOW
    ).running(handler):
        tasks = await handler.wait_for(2)
    assert {task.id for task in tasks} == {first.id, second.id}
    assert [(task.retried, task.payload, task.headers) for task in tasks] == [
        (1, b"p", {"k": "v"})
    ] * 2


async def test_go_recovers_the_tasks_of_a_killed_python_worker(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t", b"p", headers={"k": "v"}), queue="q")
    async with python_worker(redis_url) as worker:
        await worker.wait_for("start")
        await worker.kill()
    await age_leases(r, info.id)
    async with go_peer.work(queues="q", retry_delay=timedelta(seconds=1)) as go:
        [event] = await go.wait_for("done", id=info.id)
    assert (event["retried"], event["payload"], event["headers"]) == (1, b"p", {"k": "v"})


async def test_python_archives_a_crashed_task_without_retries_left(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    [info] = await go_peer.enqueue("t", queue="q", max_retry=0)
    async with go_peer.work(queues="q", sleep=HOUR) as worker:
        await worker.wait_for("start")
        await worker.kill()
    await age_leases(r, info.id)
    async with Server(redis_url, queues={"q": 1}).running(Handler()):
        task = await go_peer.task_in(TaskState.ARCHIVED, "q", info.id)
    assert task.last_error == "asynq: task lease expired"


async def test_go_sees_that_a_task_of_a_killed_python_worker_is_orphaned(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    [info] = await go_peer.enqueue("t", queue="q")
    async with python_worker(redis_url) as worker:
        await worker.wait_for("start")
        await worker.kill()
    await age_leases(r, info.id)
    [task] = await go_peer.tasks("q", "active")
    assert task.is_orphaned


async def test_a_python_worker_that_is_stopped_leaves_its_task_to_go(
    go_peer: Peer, redis_url: str
) -> None:
    await go_peer.enqueue("t", queue="q")
    handler = Handler(held=True)
    server = Server(redis_url, queues={"q": 1}, shutdown_timeout=timedelta(seconds=0.1))
    async with server.running(handler):
        await handler.wait_for()
    async with go_peer.work(queues="q") as worker:
        [event] = await worker.wait_for("done")
    assert event["retried"] == 0


async def test_a_go_worker_that_is_stopped_leaves_its_task_to_python(
    go_peer: Peer, redis_url: str
) -> None:
    await go_peer.enqueue("t", queue="q")
    async with go_peer.work(queues="q", sleep=HOUR, shutdown_timeout=timedelta(seconds=0.1)) as go:
        await go.wait_for("start")
    handler = Handler()
    async with Server(redis_url, queues={"q": 1}).running(handler):
        [task] = await handler.wait_for()
    assert task.retried == 0
