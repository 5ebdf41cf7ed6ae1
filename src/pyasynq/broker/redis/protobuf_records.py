"""What servers and schedulers show of themselves, as Redis holds it and as people read it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from pyasynq.core import option_texts
from pyasynq.core.errors import OptionError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent, ServerInfo, WorkerInfo
from pyasynq.core.message import instant
from pyasynq.core.task import Task
from pyasynq.proto import asynq_pb2 as wire

NEVER_S: Final = -62_135_596_800
"""Go's zero time, the start of year 1."""


def when(stamp: Timestamp) -> datetime | None:
    """Return the instant of *stamp*, or the nearest that our calendar has.

    None, which means never, for Go's zero time and all that lies before 1970.
    """
    if stamp.seconds <= 0:
        return None
    return instant(stamp.seconds) + timedelta(microseconds=stamp.nanos // 1000)


def timestamp(at: datetime | None) -> Timestamp:
    """Return *at* as records hold it; None, which means never, is Go's zero time.

    Source:
        Protocol section 2.6: a time that is left out would be 1970 for Go.
    """
    if at is None:
        return Timestamp(seconds=NEVER_S)
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


# -- servers ---------------------------------------------------------------------------------------


def server_record(server: ServerInfo) -> wire.ServerInfo:
    """Return the record of *server*, without what it runs."""
    return wire.ServerInfo(
        host=server.host,
        pid=server.pid,
        server_id=server.id,
        concurrency=server.concurrency,
        queues=server.queues,
        strict_priority=server.strict_priority,
        status=server.status,
        start_time=timestamp(server.started),
        active_worker_count=server.active_worker_count,
    )


def worker_record(server: ServerInfo, worker: WorkerInfo) -> wire.WorkerInfo:
    """Return the record of a task that *server* runs."""
    return wire.WorkerInfo(
        host=server.host,
        pid=server.pid,
        server_id=server.id,
        task_id=worker.task_id,
        task_type=worker.task_type,
        task_payload=worker.task_payload,
        queue=worker.queue,
        start_time=timestamp(worker.started),
        deadline=timestamp(worker.deadline),
    )


def server_info(server: wire.ServerInfo, workers: Sequence[WorkerInfo]) -> ServerInfo:
    """Return what a user reads of a server."""
    return ServerInfo(
        id=server.server_id,
        host=server.host,
        pid=server.pid,
        concurrency=server.concurrency,
        queues=dict(server.queues),
        strict_priority=server.strict_priority,
        started=when(server.start_time),
        status=server.status,
        active_workers=workers,
        active_worker_count=server.active_worker_count,
    )


def worker_info(worker: wire.WorkerInfo) -> WorkerInfo:
    """Return what a user reads of a running task."""
    return WorkerInfo(
        task_id=worker.task_id,
        task_type=worker.task_type,
        task_payload=worker.task_payload,
        queue=worker.queue,
        started=when(worker.start_time),
        deadline=when(worker.deadline),
    )


# -- schedulers ------------------------------------------------------------------------------------


def entry_record(entry: SchedulerEntry) -> wire.SchedulerEntry:
    """Return the record of *entry*."""
    return wire.SchedulerEntry(
        id=entry.id,
        spec=entry.spec,
        task_type=entry.task.type,
        task_payload=entry.task.payload or b"",
        enqueue_options=option_texts.format_options(entry.options),
        next_enqueue_time=timestamp(entry.next),
        prev_enqueue_time=timestamp(entry.prev),
    )


def event_record(event: SchedulerEvent) -> wire.SchedulerEnqueueEvent:
    """Return the record of *event*."""
    return wire.SchedulerEnqueueEvent(
        task_id=event.task_id, enqueue_time=timestamp(event.enqueued_at)
    )


def entry_infos(entries: Iterable[wire.SchedulerEntry]) -> Iterator[SchedulerEntry]:
    """Yield what users read of *entries*; those whose task cannot be one are left out."""
    for entry in entries:
        try:
            task = Task(entry.task_type, entry.task_payload)
        except OptionError:
            continue
        yield SchedulerEntry(
            id=entry.id,
            spec=entry.spec,
            task=task,
            options=option_texts.parse_options(entry.enqueue_options),
            next=when(entry.next_enqueue_time),
            prev=when(entry.prev_enqueue_time),
        )


def event_info(event: wire.SchedulerEnqueueEvent) -> SchedulerEvent:
    """Return what users read of an event."""
    return SchedulerEvent(task_id=event.task_id, enqueued_at=when(event.enqueue_time) or instant(0))
