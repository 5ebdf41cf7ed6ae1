"""What users read of schedulers, from their records."""

from collections.abc import Iterable, Iterator

from pyasynq.core import message as wire
from pyasynq.core.errors import OptionError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.message import instant, when
from pyasynq.core.option_texts import parsed
from pyasynq.core.task import Task


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
            next=when(record.next_enqueue_time),
            prev=when(record.prev_enqueue_time),
        )


def event(record: wire.SchedulerEnqueueEvent) -> SchedulerEvent:
    """Return what *record* says."""
    return SchedulerEvent(
        task_id=record.task_id, enqueued_at=when(record.enqueue_time) or instant(0)
    )
