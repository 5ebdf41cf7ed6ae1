"""Who is there."""

from collections.abc import AsyncIterator
from typing import Protocol

from pyasynq.core.info import ServerInfo


class RegistryPort(Protocol):
    """Who is there."""

    async def write_server(self, server: ServerInfo, *, ttl_s: int) -> None:
        """Show *server* with what it runs, and its queues, for *ttl_s* seconds.

        With 0 it is shown no more. Its queues stay known to inspectors.
        """
        ...

    async def servers(self) -> list[ServerInfo]:
        """Return the servers that have shown themselves in the last seconds, by start."""
        ...

    def cancelations(self) -> AsyncIterator[str | None]:
        """Yield the ids of tasks an operator cancels; None at first, and in every silence."""
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*."""
        ...
