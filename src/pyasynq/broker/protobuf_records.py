"""Convert the records of servers and schedulers: protobuf in Redis, info classes for users.

What a record of Go has no field for is kept beside it as JSON.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from pyasynq.core import option_texts
from pyasynq.core.errors import OptionError
from pyasynq.core.info import (
    ProcessInfo,
    SchedulerEntry,
    SchedulerEvent,
    ServerInfo,
    WorkerInfo,
)
from pyasynq.core.message import instant
from pyasynq.core.task import Task
from pyasynq.proto import asynq_pb2 as wire

NEVER_S: Final = -62_135_596_800
"""Go's zero time, the start of year 1."""

LONGEST_LAG_S: Final = 1e9
"""Longest lag of an event loop that is believed: a `timedelta` cannot hold every stored number."""


def to_datetime(stamp: Timestamp) -> datetime | None:
    """Return *stamp* as a datetime, or the nearest possible one.

    None, which means never, for Go's zero time and every time before 1970.
    """
    if stamp.seconds <= 0:
        return None
    return instant(stamp.seconds) + timedelta(microseconds=stamp.nanos // 1000)


def to_timestamp(at: datetime | None) -> Timestamp:
    """Return *at* as a protobuf timestamp; None, which means never, is Go's zero time.

    Source:
        Protocol section 2.6: Go would read a missing time as 1970.
    """
    if at is None:
        return Timestamp(seconds=NEVER_S)
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


# -- servers ---------------------------------------------------------------------------------------


def server_record(server: ServerInfo) -> wire.ServerInfo:
    """Return the record of *server*, without its running tasks."""
    return wire.ServerInfo(
        host=server.host,
        pid=server.pid,
        server_id=server.id,
        concurrency=server.concurrency,
        queues=server.queues,
        strict_priority=server.strict_priority,
        status=server.status,
        start_time=to_timestamp(server.started),
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
        start_time=to_timestamp(worker.started),
        deadline=to_timestamp(worker.deadline),
    )


class _Process(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has measured."""

    tasks_per_s: Annotated[float, msgspec.Meta(ge=0)]
    loop_lag_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_LAG_S)]
    memory: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Details(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the record of a server has no field for."""

    version: str | None = None
    deployment: str | None = None
    not_applied: dict[str, str] = {}
    process: _Process | None = None


def server_details(server: ServerInfo) -> bytes:
    """Return what the record of *server* has no field for; empty if there is nothing to say."""
    details = _Details(
        version=server.version,
        deployment=server.deployment,
        not_applied=dict(server.not_applied),
        process=None if server.process is None else _process_record(server.process),
    )
    return b"" if details == _Details() else msgspec.json.encode(details)


def _process_record(process: ProcessInfo) -> _Process:
    return _Process(
        tasks_per_s=process.tasks_per_s,
        loop_lag_s=process.loop_lag.total_seconds(),
        memory=process.memory,
    )


def _process_info(record: _Process) -> ProcessInfo:
    return ProcessInfo(
        tasks_per_s=record.tasks_per_s,
        loop_lag=timedelta(seconds=record.loop_lag_s),
        memory=record.memory,
    )


def server_info(
    server: wire.ServerInfo, workers: Sequence[WorkerInfo], details: bytes | None = None
) -> ServerInfo:
    """Return the info of a server, with its running tasks and, if there are any, *details*."""
    more = _Details()
    with suppress(msgspec.DecodeError):  # another program has written them
        more = msgspec.json.decode(details or b"{}", type=_Details)
    return ServerInfo(
        id=server.server_id,
        host=server.host,
        pid=server.pid,
        concurrency=server.concurrency,
        queues=dict(server.queues),
        strict_priority=server.strict_priority,
        started=to_datetime(server.start_time),
        status=server.status,
        active_workers=workers,
        active_worker_count=server.active_worker_count,
        version=more.version,
        deployment=more.deployment,
        not_applied=more.not_applied,
        process=None if more.process is None else _process_info(more.process),
    )


def worker_info(worker: wire.WorkerInfo) -> WorkerInfo:
    """Return the info of a running task."""
    return WorkerInfo(
        task_id=worker.task_id,
        task_type=worker.task_type,
        task_payload=worker.task_payload,
        queue=worker.queue,
        started=to_datetime(worker.start_time),
        deadline=to_datetime(worker.deadline),
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
        next_enqueue_time=to_timestamp(entry.next),
        prev_enqueue_time=to_timestamp(entry.prev),
    )


def event_record(event: SchedulerEvent) -> wire.SchedulerEnqueueEvent:
    """Return the record of *event*."""
    return wire.SchedulerEnqueueEvent(
        task_id=event.task_id, enqueue_time=to_timestamp(event.enqueued_at)
    )


def entry_infos(entries: Iterable[wire.SchedulerEntry]) -> Iterator[SchedulerEntry]:
    """Yield the infos of *entries*, without entries whose task is invalid."""
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
            next=to_datetime(entry.next_enqueue_time),
            prev=to_datetime(entry.prev_enqueue_time),
        )


def event_info(event: wire.SchedulerEnqueueEvent) -> SchedulerEvent:
    """Return the info of an event."""
    return SchedulerEvent(
        task_id=event.task_id, enqueued_at=to_datetime(event.enqueue_time) or instant(0)
    )
