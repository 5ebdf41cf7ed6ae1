"""What the rooms above ask of a broker: one narrow protocol for each path.

A broker raises `BrokerError` only. Times that must agree between machines (leases, due times) are
the broker's own clock; the worker's clock never enters them.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from pyasynq.broker.inspecting import InspectPath, ResultPath
from pyasynq.compose import Plan
from pyasynq.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.message import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    TaskMessage,
    WorkerInfo,
)
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
        crashes: Workers that died with it before, in a row.
        unknown_s: Seconds since it first found a worker that does not know its type, if none of
            them has; None if all did.
        begun: Its handler may have been called. Seen by a recoverer alone, and only of a task that
            has crashed workers before.
    """

    __slots__ = (
        "begun",
        "crashes",
        "expires_at",
        "id",
        "message",
        "owner",
        "queue",
        "taken_at_s",
        "unknown_s",
    )

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
        self.crashes = 0
        self.unknown_s: int | None = None
        self.begun = True

    def __repr__(self) -> str:
        """Name the task, for the log."""
        return f"task {self.id} ({self.message.type} in {self.queue!r})"


class Taken(msgspec.Struct, kw_only=True):
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
    ghosts: int = 0
    empty: bool = False
    paused: bool = False
    error: BrokerError | None = None


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


class GroupRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a group is ripe to be combined.

    Attributes:
        grace_s: Once nothing has joined it for so many seconds.
        max_delay_s: Once its oldest task has waited for so many seconds; 0 for never.
        max_size: Once it has so many tasks; 0 for never. Also the most that are combined into one.
    """

    grace_s: int
    max_delay_s: int = 0
    max_size: int = 0


class RipeGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of a queue that are to be combined.

    Attributes:
        names: Their names.
        next_in_s: Seconds until another one is ripe, or None if none waits.
    """

    names: list[str]
    next_in_s: float | None


class StagedSet(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one group, set aside to be combined.

    Attributes:
        queue: Queue of the group.
        group: Name of the group.
        id: UUID of the set.
    """

    queue: str
    group: str
    id: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a staged set.

    Attributes:
        id: Its id; bytes that are no UTF-8 are escaped as surrogates.
        message: The task; None if it cannot be read.
        failures: How often it could not be combined.
    """

    id: str
    message: TaskMessage | None
    failures: int


Refusal: TypeAlias = DuplicateTaskError | TaskIDConflictError


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The task of an outbox's row is created once, however often the row is sent.

    Attributes:
        row: Id of the row.
        kept_s: Time for which the broker remembers it, seconds.
    """

    row: str
    kept_s: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a tick of a scheduler's entry is created once, however many schedulers try.

    Attributes:
        entry_id: The entry, which moves on to this tick, also if the task is refused.
        known_s: The entry's last tick, as far as the caller knows, Unix seconds.
        at_s: This tick, Unix seconds.
        keep_s: Time for which the broker remembers this tick as the last, seconds.
    """

    entry_id: str
    known_s: int
    at_s: int
    keep_s: int


EARLY_S: Final = 5
"""A tick may come so much before its time by the broker's clock: clocks of machines differ."""


class Replaces(msgspec.Struct, frozen=True, kw_only=True):
    """The task is created if *staged* is still there, and takes the place of its tasks."""

    staged: StagedSet


class NewTask(msgspec.Struct, frozen=True):
    """A task to be created.

    Attributes:
        plan: What becomes of it.
        guard: What is to hold, or None; the broker tries it and writes it in one step with the
            task.
    """

    plan: Plan
    guard: Receipt | Tick | Replaces | None = None


class Withheld(msgspec.Struct, frozen=True):
    """The guard did not let the task be created: the row was sent, or the set is gone."""


class Ticked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a tick.

    Attributes:
        last_s: The entry's last tick now, Unix seconds.
        moved: It is this one. If not, nothing was created: another scheduler has moved the entry
            on, or the tick is still to come.
        refusal: Why its task was refused, if it was.
        clock_s: If the tick is still to come, the broker's clock, Unix seconds.
        disbelieved_s: What stood there as last tick and is not believed, if anything did: it lies
            too far ahead of the broker's clock.
    """

    last_s: int
    moved: bool
    refusal: Refusal | None = None
    clock_s: float | None = None
    disbelieved_s: int | None = None


Created: TypeAlias = Ticked | Withheld | Refusal | BrokerError | None
"""The answer for a new task: for one with a `Tick` what became of that, else None, or why not."""


class CreatePath(Protocol):
    """Create tasks.

    Attributes:
        apart: Queues may live on different machines, of which one can be away and others not.
    """

    @property
    def apart(self) -> bool: ...  # noqa: D102 - see above

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Create *tasks*, each if its guard lets it; answer each, in order.

        Of those of one queue the earlier ones are created first.
        """
        ...

    async def shorten(self, rows: Sequence[tuple[str, str]], *, kept_s: int) -> None:
        """Let the receipts of *rows*, queue and id, end *kept_s* seconds from now."""
        ...


class ProcessPath(Protocol):
    """Take tasks, keep them, and say what became of them."""

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[Taken]:
        """Take up to so many tasks from each queue of *counts*."""
        ...

    async def give_back(self, queue: str, owner: str) -> int:
        """Put back what *owner* took in a call whose answer was lost; return how many tasks."""
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

    async def begin(self, lease: Lease) -> bool:
        """Note that the handler of a task that has crashed workers is called; False if lost."""
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


class GroupPath(Protocol):
    """Combine the tasks of a group into one."""

    async def ripe(self, queue: str, rules: GroupRules) -> RipeGroups:
        """Return the groups of *queue* that are to be combined."""
        ...

    async def stage(self, queue: str, group: str, rules: GroupRules) -> StagedSet | None:
        """Set the oldest tasks of *group* aside, if it is ripe; nobody else gets them now."""
        ...

    async def members(self, staged: StagedSet) -> list[Member] | None:
        """Return the tasks of *staged*, oldest first; None if it is not ours any more."""
        ...

    async def hold(self, staged: StagedSet) -> bool:
        """Keep *staged* from being put back; False if it was."""
        ...

    async def postpone(self, staged: StagedSet, *, wait_s: int) -> bool:
        """Count a failure in every task of *staged*; have it put back in *wait_s* seconds."""
        ...

    async def archive(self, staged: StagedSet, members: Sequence[Member]) -> int:
        """Archive *members*, as their messages say; return how many were still in *staged*."""
        ...

    async def put_back(self, staged: StagedSet) -> int:
        """Put the tasks of *staged* back into their group now; return how many."""
        ...

    async def reclaim(self, queue: str) -> int:
        """Put back the sets of *queue* that nobody holds any more; return how many tasks.

        Raises:
            BrokerError: Also if a set cannot go back; all others are back by then.
        """
        ...

    async def find(self, queue: str) -> tuple[int, float]:
        """Look for unregistered groups in a part of Redis.

        Returns:
            How many were registered, and the seconds until the next part may be looked at.
        """
        ...


class RegistryPath(Protocol):
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


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """An entry and where it begins if no scheduler has known it.

    Attributes:
        entry_id: The entry.
        queue: Queue of its task.
        begin_s: What counts as its last tick, Unix seconds.
        keep_s: Time for which the broker remembers it, seconds.
    """

    entry_id: str
    queue: str
    begin_s: int
    keep_s: int


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Where an entry begins.

    Attributes:
        last_s: The entry's last tick, Unix seconds.
        known: Whether a scheduler has known it.
        disbelieved_s: As in `Ticked`.
    """

    last_s: int
    known: bool
    disbelieved_s: int | None = None


class SchedulePath(Protocol):
    """Where entries of schedulers are, and who has them."""

    async def begin(self, positions: Sequence[Position]) -> list[Begun | BrokerError]:
        """Return each entry's last tick; an unknown one begins where it says, or now."""
        ...

    async def clock_s(self) -> float:
        """Return the broker's clock, which all machines share, Unix seconds."""
        ...

    async def record(self, events: Sequence[tuple[str, SchedulerEnqueueEvent]]) -> None:
        """Add events to the histories of entries, which are named by id."""
        ...

    async def write_entries(
        self, scheduler_id: str, entries: Sequence[SchedulerEntry], *, ttl_s: int
    ) -> None:
        """Show the *entries* of a scheduler for *ttl_s* seconds."""
        ...

    async def clear_entries(self, scheduler_id: str) -> None:
        """Stop showing a scheduler."""
        ...

    async def forget(self, entry_id: str, queue: str) -> None:
        """Clear an entry's history, and soon forget its last tick."""
        ...

    async def entries(self) -> list[SchedulerEntry]:
        """Return the entries of all live schedulers."""
        ...

    async def events(self, entry_id: str, *, page: int, size: int) -> list[SchedulerEnqueueEvent]:
        """Return a page of what an entry enqueued, newest first; the first page is 1."""
        ...


MARKS: Final = 2**20
"""As many takers of one holder can be told apart: a score has room for them beside the second."""


class Token(msgspec.Struct, kw_only=True):
    """One token of a semaphore.

    Attributes:
        scope: Name of the semaphore.
        holder: Who holds it.
        mark: Tells who took it from others of the same holder, 1 to 2^20 - 1.
        deadline_s: Unix second after which the holder needs it no more; 0 for none.
        ends_s: Unix second at which it ends unless it is renewed; 0 if not taken yet, or lost.
        task: The holder is a running task.
        times: How often its holder has taken it and not released it.
    """

    scope: str
    holder: str
    mark: int
    deadline_s: int = 0
    ends_s: int = 0
    task: bool = False
    times: int = 0


class SemaphorePath(Protocol):
    """Tokens that all machines share."""

    async def acquire(self, token: Token, *, limit: int, lease_s: float) -> bool:
        """Take *token* if fewer than *limit* are taken, or it is held; set its end."""
        ...

    async def renew(self, tokens: Sequence[Token], *, lease_s: float) -> list[Token]:
        """Renew *tokens*, all of one scope, in place; return those that are lost."""
        ...

    async def release(self, token: Token) -> bool:
        """Give *token* back; False if it is no longer held."""
        ...


class Broker(Protocol):
    """All paths over one connection pool."""

    @property
    def creating(self) -> CreatePath:
        """Create tasks."""
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
    def grouping(self) -> GroupPath:
        """Combine the tasks of groups."""
        ...

    @property
    def registry(self) -> RegistryPath:
        """Who is there."""
        ...

    @property
    def scheduling(self) -> SchedulePath:
        """Where entries of schedulers are, and who has them."""
        ...

    @property
    def inspecting(self) -> InspectPath:
        """Look, order, remove."""
        ...

    @property
    def results(self) -> ResultPath:
        """Wait for the results of tasks."""
        ...

    @property
    def semaphores(self) -> SemaphorePath:
        """Tokens that all machines share."""
        ...

    async def ping(self) -> None:
        """Return when Redis answers, and takes what is written."""
        ...

    async def aclose(self) -> None:
        """Close the connections that this broker opened."""
        ...
