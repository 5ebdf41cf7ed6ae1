"""What the rooms above ask of a broker: one narrow protocol for each path.

A broker raises `BrokerError` only. Times that must agree between machines (leases, due times) are
the broker's own clock; the worker's clock never enters them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from pyasynq.compose import Plan
from pyasynq.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.message import ServerInfo, TaskMessage, WorkerInfo
from pyasynq.settle import Verdict


class Lease:
    """The right to run one task, until *expires_at*.

    Attributes:
        message: The task.
        queue: Queue it was taken from.
        id: Its id; bytes that are no UTF-8 are escaped as surrogates.
        owner: Token of this taking; whoever takes the task later writes another one. Empty for a
            recoverer, which holds the task as long as its lease is over.
        taken_at_s: Wall clock at the taking, Unix seconds.
        expires_at: End of the lease on the worker's monotonic clock, seconds; moves when extended.
    """

    __slots__ = ("expires_at", "id", "message", "owner", "queue", "taken_at_s")

    def __init__(
        self, message: TaskMessage, task_id: str, owner: str, taken_at_s: float, expires_at: float
    ) -> None:
        """Hold *message*, which Redis files under *task_id*, as *owner*."""
        self.message = message
        self.queue = message.queue
        self.id = task_id
        self.owner = owner
        self.taken_at_s = taken_at_s
        self.expires_at = expires_at


class Taken(msgspec.Struct, kw_only=True):
    """What one queue gave.

    Attributes:
        queue: Its name.
        leases: Tasks to run, next first.
        poison: Leases whose message does not decode; it holds only id and queue.
        ghosts: Ids dropped because no task stood behind them.
        empty: The queue had fewer tasks than asked for.
        paused: The queue is paused.
    """

    queue: str
    leases: list[Lease] = []
    poison: list[Lease] = []
    ghosts: int = 0
    empty: bool = False
    paused: bool = False


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """What a forwarding step did.

    Attributes:
        moved: Tasks moved.
        more: More are due now.
        next_in_s: Seconds until the next one is due, or None if none waits.
    """

    moved: int
    more: bool
    next_in_s: float | None


Refusal = DuplicateTaskError | TaskIDConflictError


class EnqueuePath(Protocol):
    """Bring tasks in."""

    async def enqueue(self, plans: Sequence[Plan]) -> list[Refusal | BrokerError | None]:
        """Carry out *plans*; answer each, in order, with None or why not."""
        ...


class RelayPath(Protocol):
    """Bring in the tasks of an outbox, each once however often its row is sent."""

    async def relay(
        self, rows: Sequence[tuple[str, Plan]], *, kept_s: int
    ) -> list[bool | Refusal | BrokerError]:
        """Carry out the plans of *rows*, each with the id of its row.

        Returns:
            For each row, in order: True if its task was created now, False if by an earlier call,
            which is known for *kept_s* seconds, or why not.
        """
        ...

    async def shorten(self, rows: Sequence[tuple[str, str]], *, kept_s: int) -> None:
        """Let the receipts of *rows*, queue and id, end *kept_s* seconds from now."""
        ...


class ProcessPath(Protocol):
    """Take tasks, keep them, and say what became of them."""

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[Taken | BrokerError]:
        """Take up to so many tasks from each queue of *counts*."""
        ...

    async def wait(self, queue: str) -> bool:
        """Block until *queue* has a task (True) or a few seconds have passed (False)."""
        ...

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        """Write verdicts; each is answered True (written), False (lease lost) or an error."""
        ...

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        """Extend *leases*, in place too; each is answered as `settle` answers."""
        ...

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        """Store *result* beside the task; False if the lease is lost."""
        ...


class MaintainPath(Protocol):
    """Keep queues in order."""

    async def forward(self, queue: str) -> Forwarded:
        """Move a batch of due tasks of *queue* to pending."""
        ...

    async def expired(self, queue: str) -> Taken:
        """Return a batch of tasks whose lease is over."""
        ...

    async def repair(self, queue: str) -> int:
        """Give ids in ``active`` that have no lease an ended one; return how many."""
        ...

    async def end_leases(self, queue: str, server_id: str) -> int:
        """End the leases of a server that is known to be dead; return how many."""
        ...

    async def expire_completed(self, queue: str, *, limit: int) -> int:
        """Delete up to *limit* completed tasks past their retention; return how many."""
        ...

    async def trim_archived(self, queue: str) -> int:
        """Delete a batch of archived tasks beyond age and number; return how many."""
        ...


class RegistryPath(Protocol):
    """Who is there."""

    async def register(self, queues: Sequence[str]) -> None:
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


class Broker(Protocol):
    """All paths over one connection pool."""

    @property
    def enqueueing(self) -> EnqueuePath:
        """Bring tasks in."""
        ...

    @property
    def relaying(self) -> RelayPath:
        """Bring in the tasks of an outbox."""
        ...

    @property
    def processing(self) -> ProcessPath:
        """Take tasks and settle them."""
        ...

    @property
    def maintenance(self) -> MaintainPath:
        """Keep queues in order."""
        ...

    @property
    def registry(self) -> RegistryPath:
        """Who is there."""
        ...

    async def ping(self) -> None:
        """Return when Redis answers."""
        ...

    async def aclose(self) -> None:
        """Close the connections that this broker opened."""
        ...
