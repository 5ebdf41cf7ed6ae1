"""What users read about tasks, queues, servers and schedulers: frozen values.

A thing that is not there is None, a duration a ``timedelta``, an instant an aware UTC ``datetime``.

Source:
    Protocol sections 5.5, 8.2 and 8.7 (asynq v0.26.0 ``TaskInfo``, ``QueueInfo``, ``ServerInfo``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from pyasynq.core.message import TaskMessage
from pyasynq.core.options import Options
from pyasynq.core.states import TaskState
from pyasynq.core.task import Task

EARLIEST_S: Final = -62_135_596_800
LATEST_S: Final = 253_402_300_799
"""From year 1 to 9999 there are dates; what peers wrote beyond is shown as the last of them."""


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One task as it stood when it was read or enqueued.

    Attributes:
        id: Unique within the queue.
        queue: Name of the queue.
        type: What kind of work.
        payload: The data; ``b""`` also where the maker gave none.
        headers: Text metadata.
        state: Where the task is.
        max_retry: Retries allowed.
        retried: Retries spent.
        last_error: Text of the last failure.
        last_failed_at: Instant of the last failure.
        timeout: Longest run.
        deadline: Instant by which it must have run.
        group: Group it was enqueued for.
        next_process_at: When it runs next: now if pending, None where that is not known.
        is_orphaned: Active, but its worker's lease is over.
        retention: How long it is kept after success; None deletes it at once.
        completed_at: Instant of success.
        result: What the handler stored.
        sealed: Names of the codecs by which payload and result are sealed, between commas, if they
            could not be opened here and are shown as they travel; empty if they are plain.
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


@dataclass(frozen=True, kw_only=True)
class QueueInfo:
    """One queue as it stood at *timestamp*.

    Attributes:
        queue: Its name.
        timestamp: When it was looked at.
        size: Tasks in all seven states.
        pending: Tasks that are ready to run.
        active: Tasks that are running.
        scheduled: Tasks that wait for their time.
        retry: Tasks that failed and wait to run again.
        archived: Tasks that were given up.
        completed: Tasks that are done and kept for their retention.
        aggregating: Tasks that wait in groups, those that are just being combined included.
        groups: Groups with waiting tasks.
        processed: Runs that ended today (UTC), failures included.
        failed: Runs that failed today (UTC).
        processed_total: Runs that ever ended.
        failed_total: Runs that ever failed.
        paused: No task is taken from it.
        latency: How long the next task to run has been pending; zero if none is.
        memory_usage: Memory its tasks take in Redis, bytes, estimated from samples.
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
    """What one queue did on one day (UTC); *processed* includes what *failed*."""

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
class WorkerInfo:
    """One running task, as its server shows it.

    Attributes:
        task_id: Id of the task.
        task_type: Its type.
        task_payload: Its data.
        queue: Queue it was taken from.
        started: When its run started.
        deadline: When its run must have ended.
    """

    task_id: str
    task_type: str
    task_payload: bytes
    queue: str
    started: datetime | None
    deadline: datetime | None


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """One server that has shown itself in the last seconds.

    Attributes:
        id: Drawn at its start.
        host: Name of its machine.
        pid: Its process there.
        concurrency: Most tasks it runs at once.
        queues: Its queues with their weights.
        strict_priority: Whether a heavier queue always goes first.
        started: When it started.
        status: ``active``, ``stopped`` or ``closed``.
        active_workers: The tasks it runs, those that have run longest if they are very many.
        active_worker_count: How many tasks it runs.
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


@dataclass(frozen=True, kw_only=True)
class SchedulerEntry:
    """One periodic task of a live scheduler.

    Attributes:
        id: Drawn when it was registered, or made from the definition where the scheduler is ours.
        spec: When it is enqueued, as cron text.
        task: What is enqueued: type and payload.
        options: The options it was registered with.
        next: When it is enqueued next, if ever.
        prev: When it was enqueued last, if ever.
    """

    id: str
    spec: str
    task: Task
    options: Options
    next: datetime | None
    prev: datetime | None


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


def info_of_message(
    message: TaskMessage,
    *,
    state: TaskState,
    next_process_at: datetime | None = None,
    is_orphaned: bool = False,
    result: bytes | None = None,
) -> TaskInfo:
    """Return what *message* says, with what its place adds."""
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
    )


def _instant(unix_s: int) -> datetime | None:
    known_s = max(EARLIEST_S, min(unix_s, LATEST_S))
    return datetime.fromtimestamp(known_s, UTC) if unix_s else None


def _duration(seconds: int) -> timedelta | None:
    return timedelta(seconds=max(EARLIEST_S, min(seconds, LATEST_S))) if seconds else None
