"""The brokers that the shared tests of their behaviour run against."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Collection, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.redis import Driver, key_kinds
from pyasynq.broker.redis.address import close_driver, open_driver
from pyasynq.broker.sqlite import in_memory
from tests.support.key_audit import audit_keys, unknown_keys
from tests.support.servers import RedisCluster, RedisServer

HERE = Path(__file__).parent
LACKS: dict[str, Collection[str]] = {
    "redis": ("backup",),
    "cluster": ("backup",),
    "sqlite": ("cluster", "mail"),
    "sqlite in memory": ("cluster", "mail", "backup"),
}
"""The brokers, and the optional ports that each of them lacks."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a shared test on every broker that has the ports which its mark `needs` names."""
    if metafunc.definition.path.parent == HERE and "new_address" in metafunc.fixturenames:
        needed = {port for mark in metafunc.definition.iter_markers("needs") for port in mark.args}
        brokers = [name for name, lacks in LACKS.items() if needed.isdisjoint(lacks)]
        metafunc.parametrize("new_address", brokers, indirect=True)


@pytest.fixture
def new_address(request: pytest.FixtureRequest) -> str | Driver | None:
    """Return an empty Redis, an empty cluster, a new file, or None for an empty memory."""
    fixtures = {"redis": "audited_redis_url", "cluster": "empty_cluster", "sqlite": "file_url"}
    name = fixtures.get(request.param)
    return None if name is None else request.getfixturevalue(name)


@pytest.fixture
async def broker(new_address: str | Driver | None) -> AsyncIterator[Broker]:
    """Yield a broker of each kind that has nothing."""
    broker = in_memory() if new_address is None else open_broker(new_address)
    yield broker
    await broker.aclose()


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that has the tables and nothing else: to make them takes as long as a test."""
    path = tmp_path_factory.mktemp("new") / "tasks.db"

    async def make() -> None:
        broker = open_broker(f"sqlite:///{path}")
        await broker.ping()
        await broker.aclose()

    asyncio.run(make())
    return path


@pytest.fixture
def file_url(new_file: Path, tmp_path: Path) -> str:
    """Return the address of a file without tasks."""
    return f"sqlite:///{shutil.copy(new_file, tmp_path)}"


@pytest.fixture
def audited_redis_url(redis_server: RedisServer) -> Iterator[str]:
    """Yield the address of an empty Redis; only a test's parameter tells that it is used."""
    with audit_keys(redis_server):
        yield redis_server.url


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> Iterator[str]:
    """Yield the address of an empty cluster; then check that `key_kinds` knows each key left."""
    with _audited(redis_cluster):
        yield redis_cluster.url


@pytest.fixture(scope="module")
async def cluster_client(redis_cluster: RedisCluster) -> AsyncIterator[Driver]:
    """Yield a client that knows the cluster: to learn its slots takes longer than most tests."""
    client = open_driver(redis_cluster.url)
    yield client
    await close_driver(client)


@pytest.fixture
def empty_cluster(cluster_client: Driver, redis_cluster: RedisCluster) -> Iterator[Driver]:
    """Yield the client of an empty cluster; then check that `key_kinds` knows each key left."""
    with _audited(redis_cluster):
        yield cluster_client


@contextmanager
def _audited(cluster: RedisCluster) -> Generator[None]:
    _flush(cluster)
    yield
    unknown = [unknown_keys(node, key_kinds.KINDS) for node in cluster.nodes]
    _flush(cluster)  # other tests use the same cluster
    assert unknown == [{}, {}, {}]


def _flush(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        with closing(node.client()) as client:
            client.flushall()
