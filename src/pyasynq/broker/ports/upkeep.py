"""Keep queues in order."""

from typing import Protocol

import msgspec

from pyasynq.broker.ports.work import DequeueResult


class ForwardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a forwarding step did.

    Attributes:
        moved: Tasks moved.
        more: More are due now.
        next_in_s: Seconds until the next one is due, or None if none waits.
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
        """Return a batch of tasks whose lease is over, or missing; the same until they are settled.

        Their leases have no owner.
        """
        ...

    async def end_leases(self, queue: str, server_id: str) -> int:
        """End the leases of a server that is known to be dead; return how many."""
        ...

    async def trim(self, queue: str, *, limit: int) -> int:
        """Delete a batch of what is kept too long; return how many tasks.

        Those are up to *limit* completed tasks past their retention, and archived ones beyond the
        age and number of `core.policy`.
        """
        ...
