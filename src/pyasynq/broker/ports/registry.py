"""List the running servers and cancel tasks."""

from collections.abc import AsyncIterator, Collection
from enum import Enum, auto
from typing import Protocol, TypeAlias

import msgspec

from pyasynq.core.info import ServerInfo


class Notice(Enum):
    """What servers are notified of, other than tasks to cancel."""

    CONTROL = auto()
    """What operators want of servers has changed; see `ControlPort`."""


class Vacancy(msgspec.Struct, frozen=True):
    """No server does the upkeep of a queue any more; see `UpkeepPort.release`."""

    queue: str


News: TypeAlias = str | Notice | Vacancy
"""The id of a task that an operator cancels, or something else of which servers are notified."""


class RegistryPort(Protocol):
    """List the running servers and cancel tasks."""

    async def write_server(
        self, server: ServerInfo, *, ttl_s: int, found: Collection[str] = ()
    ) -> None:
        """Write the record of *server* and its running tasks for *ttl_s* seconds; add its queues.

        Args:
            server: The server.
            ttl_s: With 0 the record is deleted. Its queues stay known to inspectors.
            found: Those of its queues that are not added, because a pattern has found them: else
                none of them could be removed while the server runs.
        """
        ...

    async def servers(self) -> list[ServerInfo]:
        """Return the servers whose record has not expired, ordered by start."""
        ...

    def notices(self) -> AsyncIterator[News | None]:
        """Yield the ids of tasks that an operator cancels, and notices.

        Yield None when the subscription has begun, and after a while without anything else.
        """
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask every server to cancel *task_id*."""
        ...
