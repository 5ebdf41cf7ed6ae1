"""The broker names the cluster nodes of a queue; for a single Redis there are none."""

from pyasynq.broker.redis import RedisBroker, connect
from tests.support.servers import RedisCluster


async def test_a_queue_of_a_cluster_is_on_one_node(redis_cluster: RedisCluster) -> None:
    broker = connect(redis_cluster.url)
    nodes = await broker.cluster.nodes("q")
    await broker.aclose()
    [served] = nodes
    assert served.address.endswith(f":{redis_cluster.nodes[2].port}")
    assert len(served.id) == 40


async def test_the_places_of_queues_are_read_together(redis_cluster: RedisCluster) -> None:
    broker = connect(redis_cluster.url)
    places = await broker.cluster.places(["q", "default"])
    assert [(it.queue, it.slot) for it in places] == [("q", 11958), ("default", 5718)]
    assert [list(it.nodes) for it in places] == [
        await broker.cluster.nodes(queue) for queue in ("q", "default")
    ]
    await broker.aclose()


async def test_without_cluster_there_are_no_nodes(broker: RedisBroker) -> None:
    assert await broker.cluster.nodes("q") == []
    assert await broker.cluster.places(["q"]) == []
