"""A queue on a cluster, for tests to import."""

from collections.abc import AsyncIterator

import pytest

from pyasynq import Client, Inspector, Task
from tests.support.servers import RedisCluster


@pytest.fixture
async def queue_of_cluster(redis_cluster: RedisCluster) -> AsyncIterator[str]:
    """Yield the name of a queue with a task on the cluster that all tests share."""
    url = redis_cluster.url
    async with Client(url) as client, Inspector(url) as inspector:
        await client.enqueue(Task("a"), queue="q")
        yield "q"
        await inspector.delete_queue("q", force=True)
