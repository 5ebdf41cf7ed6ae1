"""The upkeep of a queue goes on when the worker that does it is killed or frozen, or Redis is."""

import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import BrokerError, Client, Server, Task, TaskIDConflictError
from tests.cli.processes import worker
from tests.e2e.recording import Recording
from tests.server.handlers import Handler, first_queue_of
from tests.support.queue_view import QueueView
from tests.support.servers import RedisSentinel, RedisServer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.recording:app"
KEY = "asynq:{default}:maintainer"
SECOND = timedelta(seconds=1)


@pytest.fixture
async def r(own_redis: RedisServer) -> AsyncIterator[Redis]:
    """Yield a client of the test's own Redis."""
    async with Redis.from_url(own_redis.url) as r:
        yield r


async def test_another_worker_goes_on_when_the_one_in_charge_is_killed(
    client: Client, r: Redis, queue: QueueView, recording: Recording
) -> None:
    async with worker(APP, environ=recording.environ) as first:
        await client.enqueue(Task("work until told", b"{}"), task_id="lost")
        await wait_until(lambda: recording.ids("began") == ["lost"])
        await wait_until(lambda: r.exists(KEY))
        former = await r.get(KEY)
        async with worker(APP, environ=recording.environ) as second:
            await second.wait_for_line("starts")
            first.send(signal.SIGKILL)
            await first.wait_for_end()
            await queue.end_leases()
            await client.enqueue(Task("work", b"{}"), task_id="late", process_in=SECOND)
            recording.tell()
            await wait_until(lambda: recording.ids("ended") == ["late", "lost"])
            await wait_until(lambda: _is_another(r, former))


async def test_another_worker_goes_on_when_the_one_in_charge_freezes(
    client: Client, r: Redis, recording: Recording
) -> None:
    async with worker(APP, environ=recording.environ) as first:
        await wait_until(lambda: r.exists(KEY))
        former = await r.get(KEY)
        async with worker(APP, environ=recording.environ) as second:
            await second.wait_for_line("starts")
            first.send(signal.SIGSTOP)
            await wait_until(lambda: _is_another(r, former))
            ids = [f"task-{number}" for number in range(20)]
            for task_id in ids:
                await client.enqueue(Task("work", b"{}"), task_id=task_id, process_in=SECOND)
            first.send(signal.SIGCONT)
            await wait_until(lambda: recording.ids("ended") == sorted(ids))
            assert await r.get(KEY) not in {former, None}
            assert len(recording.notes("began")) == len(ids)


async def test_the_upkeep_goes_on_when_redis_was_killed(
    own_redis: RedisServer, client: Client
) -> None:
    handler = Handler()
    async with Server(own_redis.url).running(handler), Server(own_redis.url).running(handler):
        await client.enqueue(Task("t"), task_id="1", process_in=SECOND)
        own_redis.kill()
        own_redis.start()
        await client.enqueue(Task("t"), task_id="2", process_in=SECOND)
        await handler.wait_for_tasks(2)
    assert sorted(handler.ids) == ["1", "2"]


async def test_the_upkeep_goes_on_after_a_replica_took_over(redis_sentinel: RedisSentinel) -> None:
    handler = Handler()
    url = redis_sentinel.url
    async with Client(url) as client, Server(url).running(handler) as server:
        await wait_until(lambda: first_queue_of(server).maintainer.is_in_charge)
        redis_sentinel.master.kill()
        await wait_until(lambda: redis_sentinel.master_port == redis_sentinel.replica.port)
        await wait_until(lambda: _is_delayed(client))
        await handler.wait_for_tasks()


async def test_the_upkeep_goes_on_when_the_clock_of_redis_was_set_back(
    own_redis: RedisServer, client: Client, r: Redis
) -> None:
    await r.set(KEY, "dead", ex=3600)  # what a lease looks like once the clock is an hour behind
    handler = Handler()
    async with Server(own_redis.url).running(handler):
        await client.enqueue(Task("t"), process_in=SECOND)
        await handler.wait_for_tasks()


async def _is_another(r: Redis, former: object) -> bool:
    return await r.get(KEY) not in {former, None}


async def _is_delayed(client: Client) -> bool:
    """Enqueue a delayed task; return whether Redis has accepted it."""
    try:
        await client.enqueue(Task("t"), task_id="late", process_in=SECOND)
    except TaskIDConflictError:
        return True
    except BrokerError:
        return False
    return True
