"""Take tasks, keep them, and say what became of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pyasynq.core.errors import BrokerError
from pyasynq.core.message import TaskMessage
from pyasynq.core.verdict import Verdict


class Lease:
    """The right to run one task, until *expires_at*.

    Attributes:
        message: The task.
        queue: Queue it was taken from.
        id: Its id, for people; bytes that are no UTF-8 are escaped as surrogates.
        handle: What the broker calls the task; nobody else looks into it.
        owner: Token of this taking; whoever takes the task later writes another one. Empty for a
            recoverer, which holds the task as long as its lease is over.
        taken_at_s: Wall clock at the taking, Unix seconds.
        expires_at: End of the lease on the worker's monotonic clock, seconds; moves when extended.
        crashes: Workers that died with it before, in a row.
        unknown_s: Seconds since a worker first could not run it, if none could since; None if all
            could.
        started: Its handler may have been called. Only set for a recoverer, and only for a task
            that has crashed workers before.
    """

    __slots__ = (
        "crashes",
        "expires_at",
        "handle",
        "id",
        "message",
        "owner",
        "queue",
        "started",
        "taken_at_s",
        "unknown_s",
    )

    def __init__(
        self,
        message: TaskMessage,
        task_id: str,
        handle: object,
        owner: str,
        taken_at_s: float,
        expires_at: float,
    ) -> None:
        """Hold *message*, which the broker files as *handle*, as *owner*."""
        self.message: TaskMessage = message
        self.queue: str = message.queue
        self.id: str = task_id
        self.handle: Any = handle
        self.owner: str = owner
        self.taken_at_s: float = taken_at_s
        self.expires_at: float = expires_at
        self.crashes: int = 0
        self.unknown_s: int | None = None
        self.started: bool = True

    def __repr__(self) -> str:
        """Name the task, for the log."""
        return f"task {self.id} ({self.message.type} in {self.queue!r})"


class DequeueResult(msgspec.Struct, kw_only=True):
    """What one queue gave.

    Attributes:
        queue: Its name.
        owner: Token of this taking.
        leases: Tasks to run, next first.
        poison: Leases whose message does not decode; it holds only id and queue.
        ghosts: Ids dropped because no task, or none of their own, stood behind them.
        empty: The queue had fewer tasks than asked for.
        paused: The queue is paused.
        error: Why nothing is known of it: the queue may have given tasks, or not.
    """

    queue: str
    owner: str = ""
    leases: list[Lease] = []
    poison: list[Lease] = []
    missing: int = 0
    empty: bool = False
    paused: bool = False
    error: BrokerError | None = None


class WorkPort(Protocol):
    """Take tasks, keep them, and say what became of them."""

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        """Take up to so many tasks from each queue of *counts*; a paused one gives none.

        A count above `MAX_TASKS` is several calls, each with its own `DequeueResult` and owner.
        The call stops at `MAX_BYTES` of messages, but takes at least one task. The result of an
        earlier run is deleted.

        Args:
            counts: Most tasks by queue.
            owner: The server's id, a slash, and what tells this taking from the server's others;
                `end_leases` goes by what stands before the slash.
            lease_s: Length of the leases, seconds.
        """
        ...

    async def undo_dequeue(self, queue: str, owner: str) -> int:
        """Put back what *owner* took in a call whose answer was lost; return how many tasks."""
        ...

    async def wait(self, queue: str) -> bool:
        """Block until *queue* may have a task (True) or a few seconds have passed (False)."""
        ...

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        """Write verdicts; each is answered True (written), False (lease lost) or an error.

        A run counts as processed with `Done`, `Complete`, `Archive` and a failed `Retry`, and as
        failed with the last two. `Done` and `Complete` release the lock, `Archive` and `Retry` keep
        it. `Requeue` puts the task at the head of its queue. `Retry` keeps crashes and unknown for
        the next lease, as long as the message has spent no other retries. Who waits for a result is
        told of `Complete` and `Archive`.
        """
        ...

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        """Extend *leases*, in place too; each is answered as `settle` answers."""
        ...

    async def mark_started(self, lease: Lease) -> bool:
        """Note that the handler of a task that has crashed workers is called; False if lost."""
        ...

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        """Store *result* beside the task; False if the lease is lost."""
        ...
