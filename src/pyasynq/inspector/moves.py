"""Move the tasks of one broker to another.

Tasks are stored in the target before they are deleted in the source, so no task is lost if a move
is killed. The tasks of its last batch are then in both: the next move finds them by their ids, and
only deletes them.
"""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from pyasynq.broker import Broker, Container, Progress, Refusal, TaskCopy, Token
from pyasynq.core.errors import (
    BrokerError,
    BrokerUnavailableError,
    PoisonError,
    PyasynqError,
    TaskIDConflictError,
)
from pyasynq.core.policy import MAX_TASKS
from pyasynq.core.report import Kind, place_of
from pyasynq.core.states import ENDED, Action, TaskState

DELAYED: Final = (TaskState.SCHEDULED, TaskState.RETRY)

TOKEN_S: Final = 30.0
"""Seconds after which a token ends that a killed comparison of two brokers has left."""

ID_TAKEN: Final = "another task with this id is there"
ENDED_THERE: Final = "a task with this id has ended there"
LOCK_TAKEN: Final = "another task there holds its unique lock"
POISON: Final = "its message cannot be decoded"
PART: Final = "its flow or batch runs here"

PAGE: Final = 100
"""Flows, batches and letters that are read at a time."""


class SameBrokerError(PyasynqError):
    """Source and target are the same broker."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("both addresses lead to the same broker")


class ServersRunningError(PyasynqError):
    """Servers run tasks of the source.

    Attributes:
        servers: Host and process id of each, joined by a colon.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        """Name the servers."""
        self.servers: tuple[str, ...] = tuple(servers)
        hint = "a killed one is listed for 10 s more"
        super().__init__(f"stop the workers first: {', '.join(servers)} ({hint})")


class StayingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was not moved.

    Attributes:
        id: Its id; None if it cannot be decoded.
        state: Its state.
        reason: Why it stays, in words.
    """

    id: str | None
    state: TaskState
    reason: str


class QueueMove(msgspec.Struct, frozen=True, kw_only=True):
    """What a move did with one queue.

    Attributes:
        queue: Its name.
        moved: Number of tasks that are no longer in the source, by state.
        staying: Tasks that the target refused.
        left: Number of tasks that are in the source after the move, by state; also of those that
            run or are being combined, and of those that came meanwhile.
        running: Number of ``flows`` and ``batches`` that run in the source after the move, and of
            ``letters``, which wait there for other queues; only those that there are.
    """

    queue: str
    moved: dict[TaskState, int]
    staying: list[StayingTask]
    left: dict[TaskState, int]
    running: dict[str, int] = msgspec.field(default_factory=dict[str, int])


async def check_move(source: Broker, target: Broker) -> None:
    """Return if tasks can be moved from *source* to *target*.

    Raises:
        SameBrokerError: If they are the same, perhaps by different addresses.
        ServersRunningError: If servers run tasks of *source*.
        NotSupportedError: If one of them cannot move tasks.
        BrokerError: If one of them does not answer.
    """
    await source.ping()
    await _check_servers(source)
    await target.ping()
    scope = f"pyasynq:move:{uuid.uuid4()}"
    ours, theirs = Token(scope=scope, holder="source"), Token(scope=scope, holder="target")
    await source.semaphores.acquire(ours, limit=1, lease_s=TOKEN_S)
    try:
        # If the target is another broker, it does not know that the token is taken.
        if not await target.semaphores.acquire(theirs, limit=1, lease_s=TOKEN_S):
            raise SameBrokerError
        await target.semaphores.release(theirs)
    finally:
        await source.semaphores.release(ours)


async def move_queue(
    source: Broker, target: Broker, queue: str, progress: Progress | None = None
) -> QueueMove:
    """Move the tasks of *queue* that wait or have ended; the target pauses a queue that is paused.

    Tasks of flows and batches that run stay, because the records that count them cannot be moved,
    and would miss them.

    Args:
        source: Where they are; see `check_move`.
        target: Where they go.
        queue: Name of the queue.
        progress: Called after every batch with the number of tasks moved so far.

    Raises:
        ServersRunningError: If a server has started meanwhile.
        BrokerError: If one of the brokers fails. What was moved until then stays moved.
    """
    if (await source.inspection.queue_info(queue, memory=False)).paused:
        await target.inspection.pause(queue, paused=True)
    await source.groups.reclaim(queue)
    mover = _Mover(source, target, queue, progress)
    # Pending last of those that will run, because due tasks and groups may still go there.
    for state in DELAYED:
        await mover.move(Container(queue=queue, state=state))
    for group in await source.groups.group_sizes(queue):
        aggregating = TaskState.AGGREGATING
        await mover.move(Container(queue=queue, state=aggregating, group=group.group))
    for state in (TaskState.PENDING, TaskState.ARCHIVED, TaskState.COMPLETED):
        await mover.move(Container(queue=queue, state=state))
    info = await source.inspection.queue_info(queue, memory=False)
    left = {state: count for state in TaskState if (count := getattr(info, state.value))}
    return QueueMove(
        queue=queue,
        moved=mover.moved,
        staying=mover.staying,
        left=left,
        running=await _running(source, queue),
    )


async def deliver_mail(source: Broker, queues: Sequence[str]) -> None:
    """Deliver the mail of *queues*, so that its tasks are moved with the others.

    Letters that cannot be delivered stay, and are counted.

    Raises:
        BrokerError: If the mail cannot be read.
    """
    if source.supports("mail"):
        for queue in queues:
            while (await source.mail.deliver(queue)).delivered:
                pass


async def _running(source: Broker, queue: str) -> dict[str, int]:
    """Return how many flows and batches run in *queue*, and how many letters wait there."""
    counts = {"flows": 0, "batches": 0, "letters": 0}
    if source.supports("flows"):
        list_flows = partial(source.flows.list, queue, running=True, count=PAGE)
        while flows := await list_flows(start=counts["flows"]):
            counts["flows"] += len(flows)
    if source.supports("batches"):
        while batches := await source.batches.read_all(queue, counts["batches"], PAGE):
            open_batches = [it for it in batches if it.ended_at is None]
            counts["batches"] += len(open_batches)
            if len(open_batches) < len(batches):
                break  # those that have ended come last
    if source.supports("mail"):
        while letters := await source.mail.letters(queue, counts["letters"], PAGE):
            counts["letters"] += len(letters)
    return {name: count for name, count in counts.items() if count}


async def _check_servers(source: Broker) -> None:
    if servers := await source.registry.servers():
        raise ServersRunningError([f"{it.host}:{it.pid}" for it in servers])


class _Mover:
    """Moves the tasks of one queue, and counts those that were moved."""

    def __init__(
        self, source: Broker, target: Broker, queue: str, progress: Progress | None
    ) -> None:
        self.moved: dict[TaskState, int] = {}
        self.staying: list[StayingTask] = []
        self._source = source
        self._target = target
        self._queue = queue
        self._progress = progress
        self._whys: dict[tuple[Kind, str, str], str | None] = {}

    async def move(self, container: Container) -> None:
        """Move the tasks of *container*; those that stay are first in it then."""
        start = 0
        while copies := await self._source.transfers.read(container, start, MAX_TASKS):
            await _check_servers(self._source)
            start += len(copies) - await self._move_batch(container, copies)

    async def _move_batch(self, container: Container, copies: Sequence[TaskCopy | None]) -> int:
        """Move *copies*; return how many of them are no longer in the source."""
        state = container.state
        sound: list[TaskCopy] = []
        for copy in copies:
            if copy is None:
                continue
            if (why := await self._why_here(copy)) is None:
                sound.append(copy)
            else:
                self.staying.append(StayingTask(id=copy.message.id, state=state, reason=why))
        refusals = await self._target.transfers.write(container, sound) if sound else []
        there: list[str] = []
        for copy, refusal in zip(sound, refusals, strict=True):
            task_id = copy.message.id
            reason = None if refusal is None else await self._reason(state, copy, refusal)
            if reason is None:
                there.append(task_id)
            else:
                self.staying.append(StayingTask(id=task_id, state=state, reason=reason))
        poison = [StayingTask(id=None, state=state, reason=POISON)] * copies.count(None)
        self.staying += poison
        count = await self._delete(container, there)
        if count:
            self.moved[state] = self.moved.get(state, 0) + count
        if self._progress is not None:
            self._progress(sum(self.moved.values()))
        return count

    async def _why_here(self, copy: TaskCopy) -> str | None:
        """Return why a task stays with its flow or batch; None if it has none that runs."""
        place = place_of(copy.message)
        if place is None:
            return None
        record = place.kind, place.queue, place.id
        if record not in self._whys:
            self._whys[record] = await self._why_with(*record)
        return self._whys[record]

    async def _why_with(self, kind: Kind, queue: str, record_id: str) -> str | None:
        try:
            return PART if await self._is_running(kind, queue, record_id) else None
        except BrokerUnavailableError:
            raise
        except BrokerError as error:  # a record that cannot be read, which may be of one that runs
            return str(error)

    async def _is_running(self, kind: Kind, queue: str, record_id: str) -> bool:
        match kind:
            case "flow" if self._source.supports("flows"):
                flow = await self._source.flows.read(queue, record_id)
                return flow is not None and flow.state == "running"
            case "batch" if self._source.supports("batches"):
                batch = await self._source.batches.read(queue, record_id)
                return batch is not None and batch.ended_at is None
            case _:
                return False

    async def _delete(self, container: Container, task_ids: Sequence[str]) -> int:
        """Delete tasks in the source; return how many were there."""
        if not task_ids:
            return 0
        apply = self._source.inspection.apply
        count = await apply(Action.DELETE, container, task_ids)
        if count < len(task_ids):  # Redis finds several tasks only if they are the next to run
            count += sum([await apply(Action.DELETE, container, [it]) for it in task_ids])
        return count

    async def _reason(self, state: TaskState, copy: TaskCopy, refusal: Refusal) -> str | None:
        """Return why the target refuses a task; None if an earlier move has stored it there."""
        if not isinstance(refusal, TaskIDConflictError):
            return LOCK_TAKEN
        ours = copy.message
        try:
            found = await self._target.inspection.task(self._queue, ours.id)
        except PoisonError:
            return ID_TAKEN
        if found is None or found.message is None:
            return ID_TAKEN
        if (found.message.type, found.message.payload) != (ours.type, ours.payload):
            return ID_TAKEN
        if found.container.state in ENDED and state not in ENDED:
            return ENDED_THERE
        return None
