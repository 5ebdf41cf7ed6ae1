"""Fixtures for the tests of the server."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from pyasynq import Client
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers look ten times a second for what is due: a user's wait for a second."""
    monkeypatch.setattr("pyasynq.server.upkeep.maintainer.LONGEST_S", 0.1)
    monkeypatch.setattr("pyasynq.server.groups.aggregator.LONGEST_S", 0.1)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """Yield a client of the tests' own Redis."""
    async with Client(redis_url) as client:
        yield client


@pytest.fixture
def queue(r: Redis) -> QueueView:
    """Return a view of the queue ``default``."""
    return RedisQueue(r)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yield a Redis that a test may stop and start; it keeps its data."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let idle workers ask Redis again and again: else that takes 10 s, and an outage ends then."""
    monkeypatch.setattr("pyasynq.broker.redis.work.WAIT_S", 0.1)
