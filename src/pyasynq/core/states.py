"""The states a task can be in, and the moves between them, as data.

Source:
    Protocol sections 1.4, 3.1 and 8.4 (asynq v0.26.0 ``TaskState``, ``Inspector``).
"""

from enum import StrEnum
from typing import Final


class TaskState(StrEnum):
    """State of a task; the text is also the end of its container's key in Redis."""

    ACTIVE = "active"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"


ENDED: Final = frozenset({TaskState.COMPLETED, TaskState.ARCHIVED})
"""The states of a task that has ended and is kept."""

FAILED: Final = (TaskState.RETRY, TaskState.ARCHIVED)
"""The states of a task that has failed."""

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


class Action(StrEnum):
    """What an operator may do to a task; errors quote the text."""

    RUN = "run"
    ARCHIVE = "archive"
    DELETE = "delete"
    UPDATE = "update"
    UPDATE_PAYLOAD = "update the payload of"
    RESCHEDULE = "reschedule"


ALLOWED_STATES: Final[dict[Action, frozenset[TaskState]]] = {
    Action.RUN: frozenset(TaskState) - {TaskState.PENDING, TaskState.ACTIVE},
    Action.ARCHIVE: frozenset(TaskState) - {TaskState.ARCHIVED, TaskState.ACTIVE},
    Action.DELETE: frozenset(TaskState) - {TaskState.ACTIVE},
    Action.UPDATE: frozenset({TaskState.SCHEDULED, TaskState.RETRY, TaskState.ARCHIVED}),
    Action.UPDATE_PAYLOAD: frozenset({TaskState.SCHEDULED}),
    Action.RESCHEDULE: frozenset({TaskState.SCHEDULED, TaskState.RETRY}),
}
"""For each action, the states in which it is allowed."""
