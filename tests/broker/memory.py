"""A broker in memory. It proves that a broker can be written from the ports alone.

It has none of the optional ports.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pyasynq.broker import (
    Broker,
    Container,
    Created,
    DequeueResult,
    ForwardResult,
    Lease,
    Move,
    NewTask,
    Page,
    Progress,
    RemoveResult,
    StoredTask,
    UpdateResult,
)
from pyasynq.core.compose import Grouped, Scheduled
from pyasynq.core.errors import (
    BrokerError,
    DuplicateTaskError,
    NotSupportedError,
    TaskIDConflictError,
)
from pyasynq.core.info import DailyStats, QueueInfo, ServerInfo, TaskInfo, info_of_message
from pyasynq.core.message import TaskMessage, decode, encode, instant, unique_key, unix_s
from pyasynq.core.policy import (
    ARCHIVE_S,
    MAX_BULK,
    MAX_BYTES,
    MAX_SHARES,
    MAX_TASKS,
    MOST_ARCHIVED,
)
from pyasynq.core.states import ENDED, Action, TaskState
from pyasynq.core.verdict import Archive, Complete, Done, Requeue, Retry, Verdict
from pyasynq.runtime.clock import Clock

NAME = "memory"
WAIT_S = 2.0
LISTEN_S = 0.1
DELAYED = (TaskState.SCHEDULED, TaskState.RETRY)


@dataclass(kw_only=True)
class Task:
    """A task, with all its fields.

    Attributes:
        id: Its id.
        data: Its encoded message.
        state: Its state.
        at: Orders it in that state: its position in the queue, or Unix seconds.
        group: The group in which it waits.
        owner: Owner token of its dequeue.
        ends: End of its lease, Unix seconds.
        result: The result that its handler has written.
        crashes: Number of workers in a row that died while they had it.
        to_begin: Owner token of a dequeue whose handler has not been called yet.
        unknown_since: When a worker first had no handler for it, Unix seconds.
        past_retried: Number of retries when crashes and unknown_since were written.
    """

    id: str
    data: bytes
    state: TaskState
    at: float
    group: str = ""
    owner: str = ""
    ends: float = 0
    result: bytes | None = None
    crashes: int = 0
    to_begin: str | None = None
    unknown_since: float | None = None
    past_retried: int = -1

    @property
    def message(self) -> TaskMessage:
        return decode(self.data)


@dataclass
class Queue:
    """The tasks of a queue, its locks and its counters."""

    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    locks: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    counters: Counter[str] = field(default_factory=Counter[str])
    paused: bool = False

    def of(self, *states: TaskState, group: str = "") -> list[Task]:
        """Return the tasks in *states*, the next to run first."""
        found = (t for t in self.tasks.values() if t.state in states and t.group == group)
        return sorted(found, key=lambda task: task.at)

    def append(self, task: Task) -> None:
        """Put *task* behind all pending tasks."""
        line = self.of(TaskState.PENDING)
        task.at = line[-1].at + 1 if line else 0
        task.state, task.group = TaskState.PENDING, ""

    def unlock(self, task: Task) -> None:
        """Release the lock of *task*, if *task* holds it."""
        key = task.message.unique_key
        if self.locks.get(key, ("",))[0] == task.id:
            del self.locks[key]

    def delete(self, task: Task) -> None:
        """Delete *task*, and release its lock."""
        self.unlock(task)
        del self.tasks[task.id]


class Store:
    """All queues, and an event for changes in them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.queues: defaultdict[str, Queue] = defaultdict(Queue)
        self.known: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def now_s(self) -> float:
        return self.clock.now().timestamp()

    def change(self) -> None:
        """Wake all calls that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_change(self, longest_s: float) -> None:
        """Return when something has changed, or *longest_s* seconds have passed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), longest_s)


class MemoryBroker(Broker):
    """The ports that every broker has, over one store."""

    def __init__(self, clock: Clock | None = None) -> None:
        store = Store(clock or Clock())
        self.name = NAME
        self.creation = MemoryCreation(store)
        self.work = MemoryWork(store)
        self.upkeep = MemoryUpkeep(store)
        self.registry = MemoryRegistry(store)
        self.inspection = MemoryInspection(store)
        self.results = MemoryResults(store)

    async def ping(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Port:
    def __init__(self, store: Store) -> None:
        self._store = store


class MemoryCreation(Port):
    apart = False

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        if guarded := [task.guard for task in tasks if task.guard is not None]:
            raise NotSupportedError(f"a {type(guarded[0]).__name__}", NAME)
        answers = [self._create(task) for task in tasks]
        self._store.change()
        return answers

    def _create(self, task: NewTask) -> Created:
        plan, message = task.plan, task.plan.message
        self._store.known.add(message.queue)
        queue = self._store.queues[message.queue]
        if message.id in queue.tasks:
            return TaskIDConflictError(message.queue, message.id)
        if plan.lock is not None:
            key = unique_key(message.queue, message.type, plan.lock.digest)
            if queue.locks.get(key, ("", 0.0))[1] > self._store.now_s:
                return DuplicateTaskError(message.queue, message.type)
            queue.locks[key] = message.id, self._store.now_s + plan.lock.ttl_s
            message.unique_key = key
        new = Task(id=message.id, data=encode(message), state=TaskState.SCHEDULED, at=0)
        match plan:
            case Scheduled(at_s=at_s):
                new.at = at_s
            case Grouped():
                new.state, new.at = TaskState.AGGREGATING, self._store.now_s
                new.group = message.group_key
            case _:
                queue.append(new)
        queue.tasks[new.id] = new
        return None


class MemoryWork(Port):
    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        asked = [
            (name, min(count - start, MAX_TASKS))
            for name, count in counts.items()
            for start in range(0, count, MAX_TASKS)
        ]
        max_bytes = MAX_BYTES // min(max(len(asked), 1), MAX_SHARES)
        return [
            self._take(name, count, f"{owner}.{number}", lease_s, max_bytes)
            for number, (name, count) in enumerate(asked)
        ]

    def _take(
        self, name: str, count: int, owner: str, lease_s: float, max_bytes: int
    ) -> DequeueResult:
        queue = self._store.queues[name]
        if queue.paused:
            return DequeueResult(queue=name, owner=owner, empty=True, paused=True)
        waiting = queue.of(TaskState.PENDING)[:count]
        leases: list[Lease] = []
        for task in waiting:
            if max_bytes <= 0:
                break
            max_bytes -= len(task.data)
            task.state, task.result, task.owner = TaskState.ACTIVE, None, owner
            task.ends = self._store.now_s + lease_s
            leases.append(self._lease(task, owner, lease_s))
            if task.crashes and task.to_begin is None:
                task.to_begin = owner
        return DequeueResult(queue=name, owner=owner, leases=leases, empty=len(waiting) < count)

    def _lease(self, task: Task, owner: str, lease_s: float) -> Lease:
        expires_at = self._store.clock.monotonic() + lease_s
        lease = Lease(task.message, task.id, task.id, owner, self._store.now_s, expires_at)
        if task.past_retried in (-1, lease.message.retried):
            lease.crashes = task.crashes
            if task.unknown_since is not None:
                lease.unknown_s = int(self._store.now_s - task.unknown_since)
        return lease

    async def undo_dequeue(self, queue: str, owner: str) -> int:
        taken = [t for t in self._store.queues[queue].of(TaskState.ACTIVE) if t.owner == owner]
        for task in taken:
            task.state = TaskState.PENDING  # its position in the queue has not changed
        self._store.change()
        return len(taken)

    async def wait(self, queue: str) -> bool:
        if not self._store.queues[queue].of(TaskState.PENDING):
            await self._store.wait_for_change(WAIT_S)
        return bool(self._store.queues[queue].of(TaskState.PENDING))

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        answers: list[bool | BrokerError] = []
        for lease, verdict in settled:
            task = self._held(lease)
            answers.append(task is not None)
            if task is not None:
                self._settle(self._store.queues[lease.queue], task, verdict)
        self._store.change()
        return answers

    def _held(self, lease: Lease) -> Task | None:
        """Return the task if *lease* holds it; a recoverer holds every task whose lease is over."""
        task = self._store.queues[lease.queue].tasks.get(lease.handle)
        if task is None or task.state is not TaskState.ACTIVE:
            return None
        held = task.owner == lease.owner if lease.owner else task.ends <= self._store.now_s
        return task if held else None

    def _settle(self, queue: Queue, task: Task, verdict: Verdict) -> None:
        failed = isinstance(verdict, Archive) or (isinstance(verdict, Retry) and verdict.failed)
        queue.counters["failed"] += failed
        queue.counters["processed"] += failed or isinstance(verdict, Done | Complete)
        match verdict:
            case Done():
                queue.delete(task)
            case Complete(message=message, expires_at=expires_at):
                queue.unlock(task)
                task.data, task.at = encode(message), unix_s(expires_at)
                task.state = TaskState.COMPLETED
            case Retry(message=message, at=at):
                task.data, task.state, task.at = encode(message), TaskState.RETRY, unix_s(at)
                self._write_run_history(task, verdict)
            case Archive(message=message):
                task.data = task.data if message is None else encode(message)
                task.state, task.at = TaskState.ARCHIVED, self._store.now_s
            case Requeue():
                task.state = TaskState.PENDING

    def _write_run_history(self, task: Task, verdict: Retry) -> None:
        since = task.unknown_since or self._store.now_s
        task.crashes, task.to_begin = verdict.crashes, None
        task.unknown_since = since if verdict.unknown else None
        known = verdict.crashes or verdict.unknown
        task.past_retried = verdict.message.retried if known else -1

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        held = [self._held(lease) for lease in leases]
        for lease, task in zip(leases, held, strict=True):
            if task is not None:
                task.ends = self._store.now_s + lease_s
                lease.expires_at = self._store.clock.monotonic() + lease_s
        return [task is not None for task in held]

    async def mark_started(self, lease: Lease) -> bool:
        task = self._held(lease)
        if task is not None:
            task.to_begin = None
        return task is not None

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        task = self._held(lease)
        if task is not None:
            task.result = result
        return task is not None


class MemoryUpkeep(Port):
    async def forward(self, queue: str) -> ForwardResult:
        of = self._store.queues[queue]
        due = [task for task in of.of(*DELAYED) if task.at <= self._store.now_s][:MAX_TASKS]
        for task in due:
            if group := task.message.group_key:
                task.state, task.group = TaskState.AGGREGATING, group
            else:
                of.append(task)
        self._store.change()
        left = of.of(*DELAYED)
        next_in_s = max(left[0].at - self._store.now_s, 0) if left else None
        return ForwardResult(moved=len(due), more=next_in_s == 0, next_in_s=next_in_s)

    async def expired(self, queue: str) -> DequeueResult:
        active = self._store.queues[queue].of(TaskState.ACTIVE)
        over = sorted((t for t in active if t.ends <= self._store.now_s), key=lambda t: t.ends)
        taken = DequeueResult(queue=queue)
        left = MAX_BYTES
        for task in over[:MAX_TASKS]:
            if left <= 0:
                break
            left -= len(task.data)
            now_s, monotonic = self._store.now_s, self._store.clock.monotonic()
            lease = Lease(task.message, task.id, task.id, "", now_s, monotonic)
            if task.past_retried in (-1, lease.message.retried):
                lease.crashes = task.crashes
            lease.started = task.to_begin is None or task.to_begin != task.owner
            taken.leases.append(lease)
        return taken

    async def end_leases(self, queue: str, server_id: str) -> int:
        active = self._store.queues[queue].of(TaskState.ACTIVE)
        dead = [task for task in active if task.owner.rpartition("/")[0] == server_id]
        for task in dead:
            task.ends = 0
        return len(dead)

    async def trim(self, queue: str, *, limit: int) -> int:
        of = self._store.queues[queue]
        completed = of.of(TaskState.COMPLETED)[:limit]
        over = [task for task in completed if task.at <= self._store.now_s]
        archive = of.of(TaskState.ARCHIVED)
        old = [task for task in archive if task.at <= self._store.now_s - ARCHIVE_S]
        gone = [*over, *max(old, archive[: -MOST_ARCHIVED or None], key=len)[:MAX_TASKS]]
        for task in gone:
            of.delete(task)
        return len(gone)


class MemoryRegistry(Port):
    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._servers: dict[str, tuple[ServerInfo, float]] = {}
        self._listening: list[asyncio.Queue[str]] = []

    async def write_server(self, server: ServerInfo, *, ttl_s: int) -> None:
        self._servers[server.id] = server, self._store.now_s + ttl_s
        if ttl_s:
            self._store.known |= server.queues.keys()

    async def servers(self) -> list[ServerInfo]:
        live = [server for server, ends in self._servers.values() if ends > self._store.now_s]
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(live, key=lambda server: (server.started or latest, server.id))

    async def cancelations(self) -> AsyncIterator[str | None]:
        cancelled: asyncio.Queue[str] = asyncio.Queue()
        self._listening.append(cancelled)
        try:
            while True:
                yield None
                with suppress(TimeoutError):
                    yield await asyncio.wait_for(cancelled.get(), LISTEN_S)
        finally:
            self._listening.remove(cancelled)

    async def cancel(self, task_id: str) -> None:
        for cancelled in self._listening:
            cancelled.put_nowait(task_id)


class MemoryResults(Port):
    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        task = self._store.queues[queue].tasks.get(task_id)
        if task is None:
            return None
        info = _info(task, self._store.now_s)
        if task.state not in ENDED:
            await self._store.wait_for_change(longest_s)
        return info


class MemoryInspection(Port):
    async def queues(self, among: Sequence[str] | None = None) -> list[str]:
        known = self._store.known
        return sorted(known if among is None else known.intersection(among))

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        of = self._store.queues[queue]
        counts = Counter(task.state for task in of.tasks.values())
        processed, failed = of.counters["processed"], of.counters["failed"]
        size = sum(len(task.data) for task in of.tasks.values())
        return QueueInfo(
            queue=queue,
            timestamp=self._store.clock.now(),
            size=counts.total(),
            **{state.value: counts[state] for state in TaskState},
            groups=len({task.group for task in of.tasks.values()} - {""}),
            processed=processed,
            failed=failed,
            processed_total=processed,
            failed_total=failed,
            paused=of.paused,
            latency=timedelta(0),
            memory_usage=size if memory else 0,
        )

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        counters = self._store.queues[queue].counters
        today = self._store.clock.now().date()
        stats = [
            DailyStats(queue=queue, date=today - timedelta(days=n), processed=0, failed=0)
            for n in range(days)
        ]
        done, failed = counters["processed"], counters["failed"]
        stats[0] = DailyStats(queue=queue, date=today, processed=done, failed=failed)
        return stats

    async def task(self, queue: str, task_id: str) -> StoredTask | None:
        task = self._store.queues[queue].tasks.get(task_id)
        if task is None:
            return None
        return StoredTask(
            container=Container(queue=queue, state=task.state, group=task.group),
            staged=False,
            id=task_id,
            message=task.message,
            info=_info(task, self._store.now_s),
            version=(task.data, task.state),
            size=len(task.data),
        )

    async def tasks(self, container: Container, start: int, count: int) -> Page:
        found = self._tasks_in(container)
        page = [_info(task, self._store.now_s) for task in found[start : start + count]]
        return Page(tasks=page, more=len(found) > start + count)

    async def pause(self, queue: str, *, paused: bool) -> bool:
        of = self._store.queues[queue]
        was, of.paused = of.paused, paused
        self._store.change()
        return was != paused

    async def apply(self, action: Move, container: Container, which: Sequence[str] | int) -> int:
        found = self._tasks_in(container)
        wanted: Iterable[Task] = (
            found[: min(which, MAX_BULK)]
            if isinstance(which, int)
            else _named_tasks({task.id: task for task in found}, which)
        )
        moved = 0
        for task in wanted:
            moved += 1
            self._act(self._store.queues[container.queue], action, task)
        self._store.change()
        return moved

    def _act(self, queue: Queue, action: Move, task: Task) -> None:
        match action:
            case Action.RUN:
                queue.append(task)
                task.crashes, task.to_begin, task.unknown_since = 0, None, None
            case Action.ARCHIVE:
                task.state, task.at, task.group = TaskState.ARCHIVED, self._store.now_s, ""
            case Action.DELETE:
                queue.delete(task)

    async def update(self, found: StoredTask, change: TaskMessage | int) -> UpdateResult:
        queue = self._store.queues[found.container.queue]
        task = queue.tasks.get(found.id)
        if task is None or task.state != found.container.state:
            return UpdateResult.CHANGED
        if isinstance(change, int):
            task.at = change
            return UpdateResult.DONE
        if found.version != (task.data, task.state):
            return UpdateResult.CHANGED
        key, old = change.unique_key, task.message.unique_key
        if key != old:
            if queue.locks.get(key, ("", 0.0))[1] > self._store.now_s:
                return UpdateResult.LOCKED
            if old in queue.locks:
                queue.locks[key] = queue.locks.pop(old)
        task.data = encode(change)
        return UpdateResult.DONE

    async def remove(
        self, queue: str, *, force: bool, progress: Progress | None = None
    ) -> RemoveResult:
        of = self._store.queues[queue]
        if of.of(TaskState.ACTIVE):
            return RemoveResult.ACTIVE
        if of.tasks and not force:
            return RemoveResult.NOT_EMPTY
        if progress is not None and of.tasks:
            progress(len(of.tasks))
        del self._store.queues[queue]
        self._store.known.discard(queue)
        return RemoveResult.DONE

    def _tasks_in(self, container: Container) -> list[Task]:
        return self._store.queues[container.queue].of(container.state, group=container.group)


def _named_tasks(tasks: Mapping[str, Task], ids: Iterable[str]) -> Iterator[Task]:
    """Yield the tasks with the given *ids*, each once."""
    return (tasks[task_id] for task_id in dict.fromkeys(ids) if task_id in tasks)


def _info(task: Task, now_s: float) -> TaskInfo:
    at = {TaskState.PENDING: now_s} | dict.fromkeys(DELAYED, task.at)
    return info_of_message(
        task.message,
        state=task.state,
        next_process_at=instant(at[task.state]) if task.state in at else None,
        is_orphaned=task.state is TaskState.ACTIVE and task.ends <= now_s,
        result=task.result,
    )
