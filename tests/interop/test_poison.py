"""Undecodable messages beside good tasks stop neither side."""

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Server, Task
from tests.interop.gopeer import Peer
from tests.interop.handlers import Handler
from tests.support.queue_view import RedisQueue

GARBAGE = [b"\xff\xff\xff", b"\x0a\x01\xff\x1a\x01i", b""]
poisons = pytest.mark.parametrize("poison", GARBAGE, ids=["no message", "no UTF-8", "no bytes"])


async def put_pending(r: Redis, message: bytes) -> None:
    """Put a task with these bytes at the head of the queue, as a broken peer would."""
    await r.sadd("asynq:queues", "q")
    await RedisQueue(r, "q").put_poison(b"bad", message)


@poisons
async def test_python_works_on_and_go_reads_on(
    poison: bytes, go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await put_pending(r, poison)
    handler = Handler()
    async with Client(redis_url) as client, Server(redis_url, queues={"q": 1}).running(handler):
        info = await client.enqueue(Task("t"), queue="q")
        [task] = await handler.wait_for()
    [queue] = await go_peer.inspect("queue", "q")
    assert task.id == info.id
    assert (queue["pending"], queue["active"], queue["archived"]) == (0, 0, 1)


@poisons
async def test_go_recovers_tasks_again_once_python_has_set_poison_aside(
    poison: bytes, go_peer: Peer, redis_url: str, r: Redis
) -> None:
    """One undecodable task with an ended lease stops the recovery of all Go servers."""
    await put_pending(r, poison)
    await r.rpoplpush("asynq:{q}:pending", "asynq:{q}:active")
    await r.hset("asynq:{q}:t:bad", "state", "active")
    await r.zadd("asynq:{q}:lease", {"bad": 1})
    async with Server(redis_url, queues={"q": 1}).running(Handler()):
        await go_peer.queue_with("q", archived=1)
    [queue] = await go_peer.inspect("queue", "q")
    assert (queue["pending"], queue["active"], queue["archived"]) == (0, 0, 1)


async def test_gos_archive_shows_the_good_tasks_beside_poison(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await put_pending(r, b"\xff\xff\xff")
    handler = Handler(error=ValueError("boom"))
    async with Client(redis_url) as client, Server(redis_url, queues={"q": 1}).running(handler):
        info = await client.enqueue(Task("t"), queue="q", max_retry=0)
        await handler.wait_for()
    assert [task.id for task in await go_peer.tasks("q", "archived")] == [info.id]


async def test_go_can_delete_the_poison_python_set_aside(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await put_pending(r, b"\xff\xff\xff")
    async with Server(redis_url, queues={"q": 1}).running(Handler()):
        await go_peer.queue_with("q", archived=1)
    assert await go_peer.inspect("deleteall", "q", "archived") == [{"count": 1}]
