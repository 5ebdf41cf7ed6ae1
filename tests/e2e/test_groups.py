"""Workers are killed while they combine groups: each task still ends in one combined task."""

import signal
from typing import cast

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from tests.cli.processes import worker
from tests.e2e.recording import Recording
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.aggregating:app"


@pytest.fixture
def own_redis(workers_redis: RedisServer) -> RedisServer:
    """Return a Redis that no test here stops."""
    return workers_redis


async def add(client: Client, count: int, groups: int) -> list[str]:
    """Add *count* tasks to *groups* groups; return their payloads, sorted."""
    tasks = [Task("part", b"%d" % n, group=f"g{n % groups}") for n in range(count)]
    await client.enqueue_many(tasks)
    return sorted(str(n) for n in range(count))


async def combined_payloads(queue: QueueView) -> list[str]:
    """Return the payloads in all combined tasks, sorted."""
    messages = [await queue.message(task_id) for task_id in await queue.ids("scheduled")]
    return sorted(part for m in messages for part in m.payload.decode().split(","))


async def end_holds(own_redis: RedisServer, queue: RedisQueue) -> None:
    """End what dead workers hold: the upkeep, the groups and their aggregation sets."""
    await queue.end_upkeep()
    async with Redis.from_url(own_redis.url) as r:
        names = cast("list[bytes]", await r.zrange(queue.key("aggregation_sets"), 0, -1))
        if names:
            await r.zadd(queue.key("aggregation_sets"), dict.fromkeys(names, 1))


def environ(recording: Recording, *, seconds: float) -> dict[str, str]:
    return {**recording.environ, "AGGREGATING_S": str(seconds)}


async def test_a_worker_killed_between_staging_and_combining_loses_and_doubles_nothing(
    client: Client, queue: RedisQueue, recording: Recording, own_redis: RedisServer
) -> None:
    parts = await add(client, 50, groups=5)
    async with worker(APP, environ=environ(recording, seconds=3600)) as first:
        await wait_until(lambda: len(recording.notes("began")) == 5)
        first.send(signal.SIGKILL)
        await first.wait_for_end()
    assert await combined_payloads(queue) == []
    assert len(await queue.set_keys()) == 5
    await end_holds(own_redis, queue)
    async with worker(APP, environ=environ(recording, seconds=0)):
        await wait_until(lambda: _are_combined(queue, parts))


async def kill_in_the_middle(recording: Recording, groups: int) -> None:
    """Run a worker and kill it once it has begun to combine *groups* more sets."""
    enough = len(recording.notes("began")) + groups
    async with worker(APP, environ=environ(recording, seconds=0.05)) as victim:
        await wait_until(lambda: len(recording.notes("began")) >= enough)
        victim.send(signal.SIGKILL)
        await victim.wait_for_end()


async def test_workers_killed_at_any_moment_lose_and_double_nothing(
    client: Client, queue: RedisQueue, recording: Recording, own_redis: RedisServer
) -> None:
    parts = await add(client, 2000, groups=20)
    for groups in (3, 11, 12, 17, 24):
        await kill_in_the_middle(recording, groups)
        await end_holds(own_redis, queue)
    assert len(await combined_payloads(queue)) < len(parts)
    async with worker(APP, environ=environ(recording, seconds=0)):
        await wait_until(lambda: _are_combined(queue, parts))


async def _are_combined(queue: QueueView, parts: list[str]) -> bool:
    return await combined_payloads(queue) == parts
