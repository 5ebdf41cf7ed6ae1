"""Keep queues in order."""

from enum import StrEnum
from typing import Protocol

import msgspec

from pyasynq.broker.ports.work import DequeueResult


class Job(StrEnum):
    """A part of the upkeep of a queue."""

    FORWARD = "forward"
    """Move due tasks: `UpkeepPort.forward`."""

    RECOVER = "recover"
    """Settle tasks whose leases have expired: `UpkeepPort.expired`."""

    TRIM = "trim"
    """Delete old tasks: `UpkeepPort.trim`."""

    RECLAIM = "reclaim"
    """Put back sets that nobody holds, and find groups: `GroupPort.reclaim`."""

    DELIVER = "deliver"
    """Create tasks in other queues: `MailPort.deliver`."""

    LOOK_AFTER = "look_after"
    """Take on flows that are over their time or idle: `FlowPort.look_after`."""

    REPAIR = "repair"
    """Go on with batches whose clients have gone: `BatchPort.repair`."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to do for a queue.

    Attributes:
        held_elsewhere_s: Seconds for which another server does the upkeep; None if this one does.
        due: The jobs that this server has to do now.
        next_in_s: Seconds until a job will be due that is not yet; None if that is not known.
    """

    held_elsewhere_s: float | None = None
    due: frozenset[Job] = frozenset()
    next_in_s: float | None = None


class ForwardResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a forwarding step.

    Attributes:
        moved: Number of tasks moved.
        more: More tasks are due now.
        next_in_s: Seconds until the next task is due; None if no task waits.
    """

    moved: int
    more: bool
    next_in_s: float | None


class UpkeepPort(Protocol):
    """Keep queues in order."""

    async def look(self, queue: str, *, server_id: str) -> Look:
        """Return which jobs of *queue* are due for the server.

        The first server that looks holds the upkeep of the queue for some seconds, and longer each
        time it looks; others have nothing to do meanwhile. That saves work and is no lock: a server
        that was frozen may do the same jobs as another, and every job allows that. A broker may
        leave the upkeep to all servers.
        """
        ...

    async def release(self, queue: str, *, server_id: str) -> None:
        """Let another server do what the server holds of the upkeep of *queue*, and tell all."""
        ...

    async def forward(self, queue: str) -> ForwardResult:
        """Move a batch of due tasks of *queue* to pending, or into their groups."""
        ...

    async def expired(self, queue: str) -> DequeueResult:
        """Return a batch of tasks whose lease has expired or is missing.

        Each call returns the same tasks until they are settled. Their `Lease` has no owner.
        """
        ...

    async def end_leases(self, queue: str, server_id: str) -> int:
        """End the leases of a server that is known to be dead; return their number."""
        ...

    async def trim(self, queue: str, *, limit: int) -> int:
        """Delete a batch of old tasks; return their number.

        These are up to *limit* completed tasks past their retention, and archived tasks beyond the
        age and number in `core.policy`.
        """
        ...
