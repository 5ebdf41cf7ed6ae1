"""The brokers that the shared tests of their behaviour run against."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.redis import keys
from tests.broker.memory import MemoryBroker
from tests.support.key_audit import unknown_keys
from tests.support.servers import RedisCluster

HERE = Path(__file__).parent
EVERY = ("redis", "cluster", "memory")
COMPLETE = ("redis", "cluster")
"""Brokers that also have the optional ports."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a shared test on every broker; one marked `needs` only on brokers with optional ports."""
    if metafunc.definition.path.parent == HERE and "broker" in metafunc.fixturenames:
        needs_more = metafunc.definition.get_closest_marker("needs") is not None
        metafunc.parametrize("broker", COMPLETE if needs_more else EVERY, indirect=True)


@pytest.fixture
async def broker(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Broker]:
    """Yield a broker over an empty Redis, an empty cluster or an empty memory."""
    match request.param:
        case "redis":
            broker = open_broker(redis_url)
        case "cluster":
            broker = open_broker(request.getfixturevalue("cluster_url"))
        case _:
            broker = MemoryBroker()
    yield broker
    await broker.aclose()


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> Iterator[str]:
    """Yield the address of an empty cluster; afterwards check that `keys` knows every key left."""
    _flush(redis_cluster)
    yield redis_cluster.url
    unknown = [unknown_keys(node, keys.KINDS) for node in redis_cluster.nodes]
    _flush(redis_cluster)  # other tests use the same cluster
    assert unknown == [{}, {}, {}]


def _flush(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        with closing(node.client()) as client:
            client.flushall()
