"""Fixtures: databases of each kind, with an outbox and a relay."""

from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pyasynq import Client
from pyasynq.broker import Broker, open_broker
from pyasynq.outbox import Outbox, Relay
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """Yield this test process's own PostgreSQL."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """Return the address of an empty PostgreSQL database."""
    return postgres.new_database().replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/test.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def outbox() -> Outbox:
    """Return an outbox with a table of its own."""
    return Outbox()


@pytest.fixture
async def engine(database: str, outbox: Outbox) -> AsyncGenerator[AsyncEngine]:
    """Yield an engine on a database that has the table."""
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(outbox.table.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
async def broker(redis_url: str) -> AsyncGenerator[Broker]:
    """Yield a broker, with which tests read the queues."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


@pytest.fixture
async def client(redis_url: str) -> AsyncGenerator[Client]:
    """Yield a client."""
    async with Client(redis_url) as client:
        yield client


@pytest.fixture
def relay(outbox: Outbox, engine: AsyncEngine, client: Client) -> Relay:
    """Return a relay."""
    return Relay(outbox, engine, client)


@pytest.fixture
def make_relay(outbox: Outbox, engine: AsyncEngine, client: Client) -> Callable[[], Relay]:
    """Return a function that makes another relay on the same outbox."""
    return lambda: Relay(outbox, engine, client)
