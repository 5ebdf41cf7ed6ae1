"""Take tasks, extend their leases, and write their verdicts."""

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
        id: Its id, for people; bytes that are not UTF-8 are escaped as surrogates.
        handle: The broker's own reference to the task; only the broker reads it.
        owner: Owner token of this dequeue; each later dequeue of the task writes another one. Empty
            for a recoverer, which holds the task as long as the lease in the broker is over.
        taken_at_s: Wall clock at the dequeue, Unix seconds.
        expires_at: End of the lease on the worker's monotonic clock, seconds; moves when extended.
        crashes: Number of workers in a row that died while they had the task.
        unknown_s: Seconds since a worker first had no handler for it, if no worker since then had
            one; else None.
        started: Its handler may have been called. Only the recoverer's leases say so, and only for
            a task that has crashed workers before; True in all others.
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
        """Hold *message*, to which the broker refers by *handle*, as *owner*."""
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
    """The tasks that a call took from one queue.

    Attributes:
        queue: Its name.
        owner: Owner token of this dequeue.
        leases: Tasks to run, next first.
        poison: Leases whose message cannot be decoded; it holds only id and queue.
        missing: Number of ids that were dropped, because no task exists or it has another id.
        empty: The queue had fewer tasks than asked for.
        paused: The queue is paused.
        waited_s: Time for which the first of the tasks was pending, seconds; None without tasks, or
            if it is not known.
        error: Why there is no answer; the broker may have taken tasks or not.
    """

    queue: str
    owner: str = ""
    leases: list[Lease] = []
    poison: list[Lease] = []
    missing: int = 0
    empty: bool = False
    paused: bool = False
    waited_s: float | None = None
    error: BrokerError | None = None


class WorkPort(Protocol):
    """Take tasks, extend their leases, and write their verdicts."""

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        """Take up to the given number of tasks from each queue; none from a paused queue.

        A count above `MAX_TASKS` needs several calls, each with its own `DequeueResult` and owner.
        A call stops at `MAX_BYTES` of messages, but takes at least one task. It deletes the results
        of earlier runs.

        Args:
            counts: Largest number of tasks for each queue.
            owner: The server's id, a slash, and a text that no other dequeue of the server uses;
                `end_leases` compares the part before the slash.
            lease_s: Length of the leases, seconds.
        """
        ...

    async def undo_dequeue(self, queue: str, owner: str) -> int:
        """Put back the tasks that *owner* took in a call whose answer was lost; return how many."""
        ...

    async def wait(self, queue: str) -> bool:
        """Block until *queue* may have a task (True) or a few seconds have passed (False)."""
        ...

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        """Write verdicts; return for each True (written), False (lease lost) or an error.

        `Done`, `Complete`, `Archive` and a failed `Retry` count as processed, the last two also as
        failed. `Done` and `Complete` release the lock, `Archive` and `Retry` keep it. `Requeue`
        puts the task at the head of its queue. `Retry` stores crashes and unknown for the next
        lease; they are valid while the message has the same number of retries. `Complete` and
        `Archive` notify the clients that wait for the result.
        """
        ...

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        """Extend *leases* in the broker and in place; return for each what `settle` returns."""
        ...

    async def mark_started(self, lease: Lease) -> bool:
        """Note that the handler of a task that has crashed workers starts; False if lease lost."""
        ...

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        """Store *result* beside the task; False if the lease is lost."""
        ...

    async def reserve_members(self, queue: str, batch_id: str, count: int) -> int | None:
        """Return the first of *count* numbers for members that are added to a batch of *queue*.

        They are counted from when `settle` takes the report that adds them. None if there is no
        such batch, or it takes no members.
        """
        ...
