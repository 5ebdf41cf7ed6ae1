"""Who is there."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from pyasynq.core.message import ServerInfo, WorkerInfo


class RegistryPort(Protocol):
    """Who is there."""

    async def register(self, queues: Collection[str]) -> None:
        """Make *queues* known to inspectors."""
        ...

    async def write_server(
        self, server: ServerInfo, workers: Sequence[WorkerInfo], *, ttl_s: int
    ) -> None:
        """Show *server* and its *workers* for *ttl_s* seconds."""
        ...

    async def clear_server(self, server: ServerInfo) -> None:
        """Stop showing *server*."""
        ...

    def cancelations(self) -> AsyncIterator[str | None]:
        """Yield the ids of tasks an operator cancels, and now and then None: still listening."""
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*."""
        ...
