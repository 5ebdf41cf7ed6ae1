"""Fixtures for the tests of faults: a Redis to break, and a recording of the tasks that ran."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pyasynq import Client
from tests.e2e.recording import Recording
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yield a Redis that a test may break; it keeps its data."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def workers_redis() -> Iterator[RedisServer]:
    """Yield a Redis for workers that a test kills. It writes nothing to the disk, so it is fast."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty broker for workers that a test kills."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tasks.db"
    return str(request.getfixturevalue("workers_redis").url)


@pytest.fixture
async def client(own_redis: RedisServer) -> AsyncIterator[Client]:
    """Yield a client of the test's own Redis."""
    async with Client(own_redis.url) as client:
        yield client


@pytest.fixture
async def queue(own_redis: RedisServer) -> AsyncIterator[QueueView]:
    """Yield a view of the queue ``default`` of the test's own Redis."""
    async with Redis.from_url(own_redis.url) as r:
        yield RedisQueue(r)


@pytest.fixture
def recording(own_redis: RedisServer, tmp_path: Path) -> Recording:
    """Return the recording to which the workers will write."""
    return Recording(tmp_path / "notes", own_redis.url)
