"""Keep queues in order."""

from typing import Protocol

import msgspec

from pyasynq.broker.ports.work import DequeueResult


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
