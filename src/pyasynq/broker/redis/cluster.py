"""The servers behind the broker: one Redis, or the nodes of a cluster."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import RedisCluster
from redis.crc import key_slot

from pyasynq.broker.records import encode_name
from pyasynq.broker.redis import keys
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.core.info import ClusterNode, QueuePlace
from pyasynq.core.states import TaskState


class RedisServers:
    """The cluster port."""

    def __init__(self, driver: Driver) -> None:
        """Send commands over *driver*."""
        self._driver = driver

    async def slot(self, queue: str) -> int:
        """Return the cluster slot of *queue*."""
        return _slot(queue)

    async def nodes(self, queue: str) -> list[ClusterNode]:
        """Return the nodes that serve *queue*, its primary first; empty without a cluster."""
        return [node for place in await self.places([queue]) for node in place.nodes]

    async def places(self, queues: Sequence[str]) -> list[QueuePlace]:
        """Return where the cluster keeps each of *queues*; empty without a cluster."""
        if not isinstance(self._driver, RedisCluster):
            return []
        reply = await execute(self._driver, "CLUSTER NODES")
        known = cast("dict[str, dict[str, Any]]", reply)
        return [_place(queue, known) for queue in queues]

    async def server_info(self) -> dict[str, str]:
        """Return the answer to ``INFO``, or to ``CLUSTER INFO`` if there is a cluster."""
        if isinstance(self._driver, RedisCluster):
            return cast("dict[str, str]", await execute(self._driver, "CLUSTER INFO"))
        # The driver would parse the answer to "INFO"; "INFO default" it returns as it came.
        reply = cast("bytes", await execute(self._driver, "INFO default"))
        lines = reply.decode(errors="replace").splitlines()
        return {name: value for name, colon, value in (x.partition(":") for x in lines) if colon}


def _slot(queue: str) -> int:
    return key_slot(encode_name(keys.container(queue, TaskState.PENDING)))


def _place(queue: str, known: Mapping[str, Mapping[str, Any]]) -> QueuePlace:
    """Return the place of *queue* among the nodes that are *known* by their addresses."""
    slot = _slot(queue)
    primary = next((it["node_id"] for it in known.values() if _serves(it["slots"], slot)), None)
    serving = [
        ClusterNode(id=node["node_id"], address=address)
        for address, node in known.items()
        if primary is not None and primary in {node["node_id"], node["master_id"]}
    ]
    nodes = sorted(serving, key=lambda node: node.id != primary)
    return QueuePlace(queue=queue, slot=slot, nodes=nodes)


def _serves(ranges: Sequence[Sequence[str]], slot: int) -> bool:
    return any(int(low) <= slot <= int(high[0] if high else low) for low, *high in ranges)
