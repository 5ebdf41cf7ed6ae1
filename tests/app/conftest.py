"""Fixtures for the tests of apps: their tasks are in memory, and real servers run them."""

from collections.abc import AsyncIterator

import pytest

from pyasynq import App, Client, Inspector
from pyasynq.testing import Tasks


@pytest.fixture
def redis_url(tasks: Tasks) -> str:
    """Return an address at which no Redis is; the memory of the test answers in its place."""
    return "redis://127.0.0.1:1"


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
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    """Yield an inspector of the tasks in memory."""
    async with Inspector(redis_url) as inspector:
        yield inspector
