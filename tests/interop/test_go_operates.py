"""Python obeys the actions of Go's inspector."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Server, Task, TaskState
from tests.interop.gopeer import Peer
from tests.interop.handlers import Handler
from tests.interop.polling import answer

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
TASK = Task("t", b"p", queue="q", headers={"k": "v"})


async def test_a_paused_queue_rests_until_it_is_unpaused(go_peer: Peer, redis_url: str) -> None:
    handler = Handler()
    async with Client(redis_url) as client:
        resting = await client.enqueue(TASK)
        await go_peer.inspect("pause", "q")
        async with Server(redis_url, queues={"q": 9, "other": 1}).running(handler):
            other = await client.enqueue(Task("t"), queue="other")
            [first] = await handler.wait_for()
            [paused] = await go_peer.inspect("queue", "q")
            await go_peer.inspect("unpause", "q")
            [_, second] = await handler.wait_for(2)
    assert (paused["paused"], paused["pending"], paused["active"]) == (True, 1, 0)
    assert [first.id, second.id] == [other.id, resting.id]


async def test_a_canceled_task_ends_and_is_retried(go_peer: Peer, redis_url: str) -> None:
    handler = Handler(held=True)
    async with Client(redis_url) as client, Server(redis_url, queues={"q": 1}).running(handler):
        info = await client.enqueue(TASK)
        await handler.wait_for()
        await go_peer.inspect("cancel", info.id)
        assert await handler.wait_for_cancelled() == [info.id]
    task = await go_peer.task("q", info.id)
    assert (task.state, task.last_error) == (TaskState.RETRY, "context canceled")


async def test_a_scheduled_task_that_go_runs_arrives_now(go_peer: Peer, redis_url: str) -> None:
    handler = Handler()
    async with Client(redis_url) as client, Server(redis_url, queues={"q": 1}).running(handler):
        info = await client.enqueue(TASK, process_in=HOUR)
        await go_peer.inspect("run", "q", info.id)
        [task] = await handler.wait_for()
    assert (task.id, task.payload, task.headers) == (info.id, b"p", {"k": "v"})


async def test_a_payload_that_go_changed_arrives(go_peer: Peer, redis_url: str) -> None:
    handler = Handler()
    async with Client(redis_url) as client, Server(redis_url, queues={"q": 1}).running(handler):
        info = await client.enqueue(TASK, process_in=HOUR)
        await go_peer.inspect("update-payload", "q", info.id, "new")
        await go_peer.inspect("run", "q", info.id)
        [task] = await handler.wait_for()
    assert task.payload == b"new"


async def test_a_task_go_archived_and_ran_again_arrives(go_peer: Peer, redis_url: str) -> None:
    handler = Handler()
    async with Client(redis_url) as client:
        info = await client.enqueue(TASK)
        await go_peer.inspect("archive", "q", info.id)
        await go_peer.inspect("run", "q", info.id)
    async with Server(redis_url, queues={"q": 1}).running(handler):
        [task] = await handler.wait_for()
    assert (task.id, task.retried) == (info.id, 0)


async def test_a_task_go_deleted_leaves_nothing(go_peer: Peer, redis_url: str, r: Redis) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(TASK, unique=HOUR)
        await go_peer.inspect("delete", "q", info.id)
    assert await r.keys("*") == [b"asynq:queues"]


async def test_a_queue_go_deleted_comes_back_with_the_next_server(
    go_peer: Peer, redis_url: str
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(TASK)
    await go_peer.inspect("deletequeue", "q", "force")

    async def names() -> list[str] | None:
        return await go_peer.inspect("queues") or None

    async with Server(redis_url, queues={"q": 1}).running(Handler()):
        assert await answer(names) == ["q"]


@pytest.mark.parametrize("verb", ["runall", "archiveall", "deleteall"])
async def test_all_scheduled_tasks_of_python_move_at_once(
    verb: str, go_peer: Peer, redis_url: str
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue_many([TASK] * 3, process_in=HOUR)
    assert await go_peer.inspect(verb, "q", "scheduled") == [{"count": 3}]
