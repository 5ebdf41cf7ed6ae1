"""What users read about tasks: frozen values.

A thing that is not there is None, a duration a ``timedelta``, an instant an aware UTC ``datetime``.

Source:
    Protocol section 5.5 (asynq v0.26.0 ``TaskInfo``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pyasynq.states import TaskState


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
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
    """

    id: str
    queue: str
    type: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
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
