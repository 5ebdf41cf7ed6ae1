"""The servers behind a broker."""

from collections.abc import Sequence
from typing import Protocol

from pyasynq.core.info import ClusterNode, QueuePlace


class ClusterPort(Protocol):
    """The servers behind the broker."""

    async def slot(self, queue: str) -> int:
        """Return the cluster slot of *queue*."""
        ...

    async def nodes(self, queue: str) -> Sequence[ClusterNode]:
        """Return the nodes that serve *queue*, its primary first; empty without a cluster."""
        ...

    async def places(self, queues: Sequence[str]) -> Sequence[QueuePlace]:
        """Return where the cluster keeps each of *queues*; empty without a cluster."""
        ...

    async def server_info(self) -> dict[str, str]:
        """Return the information that the server or the cluster gives about itself."""
        ...
