"""Group failed tasks by what went wrong."""

from datetime import datetime

import msgspec

from pyasynq.core.info import TaskInfo


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failed tasks of one type whose last errors begin with the same line.

    Attributes:
        type: Type of the tasks.
        error: First line of their last errors; empty if they have none.
        count: Number of the tasks.
        first_failed_at: The earliest of their last failures; None if it is not known.
        last_failed_at: The latest of their last failures; None if it is not known.
        task_id: Id of one of them, for a closer look: that of the latest failure.
    """

    type: str
    error: str
    count: int
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    task_id: str


def add_failure(groups: dict[tuple[str, str], ErrorGroup], task: TaskInfo) -> None:
    """Count *task* in its group."""
    error = (task.last_error or "").partition("\n")[0].strip()
    key = (task.type, error)
    at = task.last_failed_at
    known = groups.get(key)
    if known is None:
        groups[key] = ErrorGroup(
            type=task.type,
            error=error,
            count=1,
            first_failed_at=at,
            last_failed_at=at,
            task_id=task.id,
        )
        return
    times = [one for one in (known.first_failed_at, known.last_failed_at, at) if one is not None]
    is_latest = at is not None and at == max(times)
    groups[key] = msgspec.structs.replace(
        known,
        count=known.count + 1,
        first_failed_at=min(times, default=None),
        last_failed_at=max(times, default=None),
        task_id=task.id if is_latest else known.task_id,
    )
