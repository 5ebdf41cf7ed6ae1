"""The brokers that the shared tests of their behaviour run against."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.redis import keys
from tests.support.audit import strange_keys
from tests.support.servers import RedisCluster


@pytest.fixture(params=["redis", "cluster"])
async def broker(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Broker]:
    """Yield a broker over an empty Redis, and over an empty cluster."""
    urls = {"redis": lambda: redis_url, "cluster": lambda: request.getfixturevalue("cluster_url")}
    broker = open_broker(urls[request.param]())
    yield broker
    await broker.aclose()


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> Iterator[str]:
    """Yield the address of an empty cluster; afterwards refuse keys that asynq does not know."""
    _flush(redis_cluster)
    yield redis_cluster.url
    strange = [strange_keys(node, keys.KINDS) for node in redis_cluster.nodes]
    _flush(redis_cluster)  # other tests look at the same cluster
    assert strange == [{}, {}, {}]


def _flush(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        with closing(node.client()) as client:
            client.flushall()
