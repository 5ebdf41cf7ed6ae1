"""A dashboard in this process, on Redis and on a file of SQLite."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from pyasynq.dashboard import Dashboard
from tests.support.addresses import address, broker, pytest_generate_tests

Connect = Callable[..., httpx.AsyncClient]

__all__ = ["address", "broker", "pytest_generate_tests"]


@pytest.fixture
async def connect(address: str) -> AsyncIterator[Connect]:
    """Yield a function that makes a dashboard with some settings, and returns a client of it."""
    async with AsyncExitStack() as stack:

        def make(*, peer: str = "127.0.0.1", **settings: object) -> httpx.AsyncClient:
            dashboard = Dashboard(address, **settings)  # type: ignore[arg-type]
            stack.push_async_callback(dashboard.aclose)
            transport = httpx.ASGITransport(dashboard, client=(peer, 50_000))
            return httpx.AsyncClient(transport=transport, base_url="http://localhost:8080")

        yield make


@pytest.fixture
def http(connect: Connect) -> httpx.AsyncClient:
    """Return a client of a dashboard that may do everything."""
    return connect()
