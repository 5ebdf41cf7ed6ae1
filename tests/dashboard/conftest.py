"""A dashboard in this process, on Redis and on a file of SQLite."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.dashboard import Dashboard
from tests.support.key_audit import audit_keys

BROKERS = ("redis", "sqlite")
Connect = Callable[..., httpx.AsyncClient]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a broker on both, or on those in ``ON`` of its module."""
    if "address" in metafunc.fixturenames:
        brokers = getattr(metafunc.module, "ON", BROKERS)
        metafunc.parametrize("address", brokers, indirect=True)


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty broker."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tasks.db"
        return
    server = request.getfixturevalue("redis_server")
    with audit_keys(server):
        yield server.url


@pytest.fixture
async def broker(address: str) -> AsyncIterator[Broker]:
    """Yield a broker, to prepare what the dashboard shows."""
    broker = open_broker(address)
    yield broker
    await broker.aclose()


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
