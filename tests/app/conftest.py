"""Fixtures for the tests of apps."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from pyasynq import App, Client
from tests.support.queue_view import QueueView, RedisQueue


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[App]:
    """Yield an app with an open client; its servers end when their queues are empty."""
    async with App(redis_url, burst=True) as app:
        yield app


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """Yield a client that does not belong to the app."""
    async with Client(redis_url) as client:
        yield client


@pytest.fixture
def queue(r: Redis) -> QueueView:
    """Return a view of the queue ``default``."""
    return RedisQueue(r)
