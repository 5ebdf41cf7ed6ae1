"""What users read of schedulers, from their records."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from pyasynq import message as wire
from pyasynq.errors import OptionError
from pyasynq.info import SchedulerEntry, SchedulerEvent
from pyasynq.message import instant
from pyasynq.option_texts import parsed
from pyasynq.task import Task


def entries(records: Iterable[wire.SchedulerEntry]) -> Iterator[SchedulerEntry]:
    """Yield what *records* say; those whose task cannot be one are left out."""
    for record in records:
        try:
            task = Task(record.task_type, record.task_payload)
        except OptionError:
            continue
        yield SchedulerEntry(
            id=record.id,
            spec=record.spec,
            task=task,
            options=parsed(record.enqueue_options),
            next=_instant(record.next_enqueue_time),
            prev=_instant(record.prev_enqueue_time),
        )


def event(record: wire.SchedulerEnqueueEvent) -> SchedulerEvent:
    """Return what *record* says."""
    stamp = record.enqueue_time
    return SchedulerEvent(
        task_id=record.task_id, enqueued_at=instant(stamp.seconds + stamp.nanos / 1e9)
    )


def _instant(stamp: Timestamp) -> datetime | None:
    """Return what *stamp* says; Go's zero time, and what lies before 1970, is never."""
    return stamp.ToDatetime(UTC) if stamp.seconds > 0 else None
