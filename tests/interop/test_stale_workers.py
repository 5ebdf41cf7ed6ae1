"""A Python worker that counted as dead continues while Go runs its task."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from pyasynq.broker import Broker, Lease, open_broker
from pyasynq.core.verdict import Done
from tests.interop.gopeer import Peer
from tests.support.queue_view import RedisQueue

SERVER = "11111111-2222-3333-4444-555555555555"
NOW = timedelta()
SHORT = timedelta(seconds=0.1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """Yield the broker of the worker that counts as dead."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


@pytest.fixture
async def stale(broker: Broker, redis_url: str, r: Redis, go_peer: Peer) -> AsyncIterator[Lease]:
    """Yield a lease whose task Go has recovered and is running."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), queue="q")
    # Go recovers it at once here, not a minute later, so the two leases must have different ends.
    [taken] = await broker.work.dequeue({"q": 1}, owner=f"{SERVER}/1", lease_s=20)
    assert not isinstance(taken, Exception)
    await RedisQueue(r, "q").end_leases()
    async with go_peer.work(queues="q", sleep=HOUR, retry_delay=NOW, shutdown_timeout=SHORT) as go:
        await go.wait_for("start")
        yield taken.leases[0]


async def test_a_verdict_of_a_stale_worker_is_refused(stale: Lease, broker: Broker) -> None:
    assert await broker.work.settle([(stale, Done())]) == [False]


async def test_a_result_of_a_stale_worker_is_refused(stale: Lease, broker: Broker) -> None:
    assert not await broker.work.write_result(stale, b"late")


async def test_a_lease_of_a_stale_worker_is_not_extended(stale: Lease, broker: Broker) -> None:
    assert await broker.work.extend([stale], lease_s=30) == [False]


async def test_the_end_of_a_stale_worker_does_not_end_gos_lease(
    stale: Lease, broker: Broker
) -> None:
    assert await broker.upkeep.end_leases(stale.queue, SERVER) == 0
