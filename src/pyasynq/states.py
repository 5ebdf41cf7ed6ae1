"""The states a task can be in, and the moves between them, as data.

Source:
    Protocol sections 1.4 and 3.1 (asynq v0.26.0 ``TaskState``).
"""

from enum import StrEnum
from typing import Final


class TaskState(StrEnum):
    """Where a task is; the word is also the end of its container's key in Redis."""

    ACTIVE = "active"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"


MOVES: Final[dict[TaskState | None, frozenset[TaskState | None]]] = {
    None: frozenset({TaskState.PENDING, TaskState.SCHEDULED, TaskState.AGGREGATING}),
    TaskState.SCHEDULED: frozenset({TaskState.PENDING, TaskState.AGGREGATING}),
    TaskState.RETRY: frozenset({TaskState.PENDING, TaskState.AGGREGATING}),
    TaskState.PENDING: frozenset({TaskState.ACTIVE}),
    TaskState.ACTIVE: frozenset(
        {None, TaskState.COMPLETED, TaskState.RETRY, TaskState.ARCHIVED, TaskState.PENDING}
    ),
    TaskState.AGGREGATING: frozenset({None, TaskState.ARCHIVED}),
    TaskState.COMPLETED: frozenset({None}),
    TaskState.ARCHIVED: frozenset({None}),
}
"""From each state, the states that clients and servers move a task to; None is "no task"."""
