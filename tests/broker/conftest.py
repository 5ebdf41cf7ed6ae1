"""The brokers that the shared tests of their behaviour run against."""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.redis import key_kinds
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
    if metafunc.definition.path.parent == HERE and "broker" in metafunc.fixturenames:
        needed = {port for mark in metafunc.definition.iter_markers("needs") for port in mark.args}
        brokers = [name for name, lacks in LACKS.items() if needed.isdisjoint(lacks)]
        metafunc.parametrize("broker", brokers, indirect=True)


@pytest.fixture
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """Yield a broker over an empty Redis, an empty cluster, a new file or an empty memory."""
    match request.param:
        case "redis":
            broker = open_broker(request.getfixturevalue("audited_redis_url"))
        case "sqlite":
            broker = open_broker(f"sqlite:///{request.getfixturevalue('tmp_path')}/tasks.db")
        case "sqlite in memory":
            broker = in_memory()
        case _:
            broker = open_broker(request.getfixturevalue("cluster_url"))
    yield broker
    await broker.aclose()


@pytest.fixture
def audited_redis_url(redis_server: RedisServer) -> Iterator[str]:
    """Yield the address of an empty Redis; only a test's parameter tells that it is used."""
    with audit_keys(redis_server):
        yield redis_server.url


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> Iterator[str]:
    """Yield the address of an empty cluster; then check that `key_kinds` knows each key left."""
    _flush(redis_cluster)
    yield redis_cluster.url
    unknown = [unknown_keys(node, key_kinds.KINDS) for node in redis_cluster.nodes]
    _flush(redis_cluster)  # other tests use the same cluster
    assert unknown == [{}, {}, {}]


def _flush(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        with closing(node.client()) as client:
            client.flushall()
