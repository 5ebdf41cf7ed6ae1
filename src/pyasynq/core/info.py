"""What users read about tasks, queues, servers and schedulers: frozen values.

A missing value is None, a duration a ``timedelta``, an instant an aware UTC ``datetime``.

Source:
    Protocol sections 5.5, 8.2 and 8.7 (asynq v0.26.0 ``TaskInfo``, ``QueueInfo``, ``ServerInfo``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from pyasynq.core.attempts import Attempt
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import Options
from pyasynq.core.states import TaskState
from pyasynq.core.task import Task

EARLIEST_S: Final = -62_135_596_800
LATEST_S: Final = 253_402_300_799
"""A `datetime` holds the years 1 to 9999; instants outside, which peers may write, are cut."""


# gc=False: it is in no cycle, and a program may keep hundreds of thousands.
class TaskInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One task, as it was when it was read or enqueued.

    Attributes:
        id: Unique within the queue.
        queue: Name of the queue.
        type: Kind of work.
        payload: The data; ``b""`` also if the task has no payload.
        headers: Text metadata.
        state: State of the task.
        max_retry: Retries allowed.
        retried: Retries spent.
        last_error: Text of the last failure.
        last_failed_at: Instant of the last failure.
        timeout: Longest run.
        deadline: Instant by which it must have ended.
        group: Group for which it was enqueued.
        next_process_at: When it runs next: now if pending, None if not known.
        is_orphaned: Whether it is active, but its worker's lease has ended.
        retention: How long it is kept after success; None deletes it at once.
        completed_at: Instant of success.
        result: What the handler stored.
        sealed: Names of the codecs that sealed payload and result, joined by commas, if they could
            not be opened here and are shown sealed; empty if they are plain.
        attempts: Its last failed tries, the oldest first; only `Inspector.task_info` reads them.
    """

    id: str
    queue: str
    type: str
    payload: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    state: TaskState
    max_retry: int
    retried: int = 0
    last_error: str | None = None
    last_failed_at: datetime | None = None
    timeout: timedelta | None = None
    deadline: datetime | None = None
    group: str | None = None
    next_process_at: datetime | None = None
    is_orphaned: bool = False
    retention: timedelta | None = None
    completed_at: datetime | None = None
    result: bytes | None = None
    sealed: str = ""
    attempts: Sequence[Attempt] = ()


@dataclass(frozen=True, kw_only=True)
class QueueInfo:
    """One queue, as it was at *timestamp*.

    Attributes:
        queue: Its name.
        timestamp: When it was read.
        size: Tasks in all seven states.
        pending: Tasks that are ready to run.
        active: Tasks that are running.
        scheduled: Tasks that wait for their time.
        retry: Tasks that failed and wait to run again.
        archived: Tasks that are archived.
        completed: Tasks that succeeded and are kept for their retention.
        aggregating: Tasks that wait in groups, including those that an aggregator is combining.
        groups: Groups with waiting tasks.
        processed: Runs that ended today (UTC), failures included.
        failed: Runs that failed today (UTC).
        processed_total: All runs that ended.
        failed_total: All runs that failed.
        paused: Whether it is paused: workers take no tasks from it.
        latency: How long the next task to run has been pending; zero if none is pending.
        memory_usage: Bytes that its tasks take in the broker, estimated from samples.
    """

    queue: str
    timestamp: datetime
    size: int
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    groups: int
    processed: int
    failed: int
    processed_total: int
    failed_total: int
    paused: bool
    latency: timedelta
    memory_usage: int


@dataclass(frozen=True, kw_only=True)
class DailyStats:
    """The runs of one queue on one day (UTC); *processed* includes *failed*."""

    queue: str
    date: date
    processed: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class GroupInfo:
    """One group of a queue, and how many tasks wait in it."""

    group: str
    size: int


@dataclass(frozen=True, kw_only=True)
class MailInfo:
    """A task that waits in one queue until it is created in another.

    Attributes:
        id: Id of the letter.
        to_queue: The queue that the task is for; empty if the letter cannot be read.
        task_id: Id of the task; empty if the letter cannot be read.
        type: Its type; empty if it cannot be read.
        posted_at: When the letter was written. It is usually delivered at once.
    """

    id: str
    to_queue: str
    task_id: str
    type: str
    posted_at: datetime


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """One running task, as its server reports it.

    Attributes:
        task_id: Id of the task.
        task_type: Its type.
        task_payload: Its data.
        queue: Queue it was taken from.
        started: When its run started.
        deadline: When its run must end at the latest.
    """

    task_id: str
    task_type: str
    task_payload: bytes
    queue: str
    started: datetime | None
    deadline: datetime | None


@dataclass(frozen=True, kw_only=True)
class ProcessInfo:
    """What a server has measured about its process, over the last seconds.

    Attributes:
        tasks_per_s: Tasks that it took, per second.
        loop_lag: How much later than due its event loop ran a timer, at worst.
        memory: Bytes that the process has resident, without those of its child processes; None if
            the system does not say.
    """

    tasks_per_s: float
    loop_lag: timedelta
    memory: int | None


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """One server that has reported itself in the last seconds.

    Attributes:
        id: Random id, chosen at its start.
        host: Name of its machine.
        pid: Id of its process there.
        concurrency: Largest number of tasks it runs at once.
        queues: Its queues with their weights; in place of a pattern, the queues that it has found.
        strict_priority: Whether a heavier queue always goes first.
        started: When it started.
        status: ``active``, ``stopped`` or ``closed``.
        active_workers: The tasks it runs; if there are very many, those that have run longest.
        active_worker_count: Number of tasks it runs.
        version: Version of pyasynq that it runs; None for Go's servers and those of versions that
            operators cannot control.
        deployment: Name that it shares with others, so that operators can control them together.
        not_applied: Settings that operators want but that it could not apply, with the reason.
        process: What it has measured; None for Go's servers and those of earlier versions.
    """

    id: str
    host: str
    pid: int
    concurrency: int
    queues: Mapping[str, int]
    strict_priority: bool
    started: datetime | None
    status: str
    active_workers: Sequence[WorkerInfo] = ()
    active_worker_count: int = 0
    version: str | None = None
    deployment: str | None = None
    not_applied: Mapping[str, str] = field(default_factory=dict[str, str])
    process: ProcessInfo | None = None

    @property
    def takes_tasks(self) -> bool:
        """Whether it takes tasks: one that is quiet, or that stops, runs only those that it has."""
        return self.status == "active"


@dataclass(frozen=True, kw_only=True)
class SchedulerEntry:
    """One periodic task of a live scheduler.

    Attributes:
        id: From a scheduler of pyasynq, made from the definition; from Go's, random.
        spec: When it is enqueued, as cron text.
        task: The enqueued task: type and payload.
        options: The options it was registered with.
        next: When it is enqueued next, if ever.
        prev: When it was enqueued last, if ever.
        paused: Whether it is paused: schedulers of pyasynq leave out its ticks.
    """

    id: str
    spec: str
    task: Task
    options: Options
    next: datetime | None
    prev: datetime | None
    paused: bool = False


@dataclass(frozen=True, kw_only=True)
class SchedulerEvent:
    """One task that a scheduler enqueued, and when."""

    task_id: str
    enqueued_at: datetime


@dataclass(frozen=True, kw_only=True)
class ClusterNode:
    """One node of a Redis cluster that serves a queue."""

    id: str
    address: str


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    """Where a Redis cluster keeps a queue.

    Attributes:
        queue: Its name.
        slot: The slot of all its keys.
        nodes: The nodes that serve the slot, the primary first; empty if none does.
    """

    queue: str
    slot: int
    nodes: Sequence[ClusterNode]


def info_of_message(
    message: TaskMessage,
    *,
    state: TaskState,
    next_process_at: datetime | None = None,
    is_orphaned: bool = False,
    result: bytes | None = None,
    attempts: Sequence[Attempt] = (),
) -> TaskInfo:
    """Return the task of *message*, completed by what is stored beside the message."""
    return TaskInfo(
        id=message.id,
        queue=message.queue,
        type=message.type,
        payload=message.payload,
        headers=dict(message.headers),
        state=state,
        max_retry=message.retry,
        retried=message.retried,
        last_error=message.error_msg or None,
        last_failed_at=_instant(message.last_failed_at),
        timeout=_duration(message.timeout),
        deadline=_instant(message.deadline),
        group=message.group_key or None,
        next_process_at=next_process_at,
        is_orphaned=is_orphaned,
        retention=_duration(message.retention),
        completed_at=_instant(message.completed_at),
        result=result,
        attempts=attempts,
    )


def _instant(unix_s: int) -> datetime | None:
    known_s = max(EARLIEST_S, min(unix_s, LATEST_S))
    return datetime.fromtimestamp(known_s, UTC) if unix_s else None


def _duration(seconds: int) -> timedelta | None:
    return timedelta(seconds=max(EARLIEST_S, min(seconds, LATEST_S))) if seconds else None
