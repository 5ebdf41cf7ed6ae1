"""List the running servers and cancel tasks."""

from collections.abc import AsyncIterator
from typing import Protocol

from pyasynq.core.info import ServerInfo


class RegistryPort(Protocol):
    """List the running servers and cancel tasks."""

    async def write_server(self, server: ServerInfo, *, ttl_s: int) -> None:
        """Write the record of *server* and its running tasks for *ttl_s* seconds; add its queues.

        With 0 the record is deleted. Its queues stay known to inspectors.
        """
        ...

    async def servers(self) -> list[ServerInfo]:
        """Return the servers whose record has not expired, ordered by start."""
        ...

    def cancelations(self) -> AsyncIterator[str | None]:
        """Yield the ids of tasks that an operator cancels.

        Yield None when the subscription has begun, and after a while without an id.
        """
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*."""
        ...
