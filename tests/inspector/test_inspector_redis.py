"""An inspector shows the info of Redis, and can leave out what takes long."""

from pyasynq import Client, Inspector, Task
from tests.support.servers import RedisCluster


async def test_memory_can_be_left_out(redis_url: str) -> None:
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.enqueue(Task("t"))
        quick = await inspector.queue_info("default", memory=False)
        full = await inspector.queue_info("default")
    assert (quick.size, quick.memory_usage) == (1, 0)
    assert full.memory_usage > 0


async def test_redis_tells_its_version(redis_url: str) -> None:
    async with Inspector(redis_url) as inspector:
        info = await inspector.redis_info()
    assert info["redis_version"][0].isdigit()


async def test_a_cluster_tells_its_state(redis_cluster: RedisCluster) -> None:
    async with Inspector(redis_cluster.url) as inspector:
        info = await inspector.redis_info()
    assert info["cluster_state"] == "ok"


async def test_the_node_of_a_queue_has_an_id_and_an_address(redis_cluster: RedisCluster) -> None:
    async with Inspector(redis_cluster.url) as inspector:
        [node] = await inspector.queue_nodes("q")
    assert len(node.id) == 40
    assert node.address in {f"127.0.0.1:{node.port}" for node in redis_cluster.nodes}
