"""Convert the fields of tasks in Redis to the infos that a user reads."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

from pyasynq.broker.ports.inspection import Container, StoredTask
from pyasynq.broker.records import decode_name, encode_name, read_message
from pyasynq.core.attempts import MOST_ATTEMPTS, Attempt, decode_attempts
from pyasynq.core.errors import PoisonError
from pyasynq.core.info import TaskInfo, info_of_message
from pyasynq.core.message import TaskMessage, instant
from pyasynq.core.states import TaskState

Fields: TypeAlias = Sequence[bytes | None]

ATTEMPT_FIELDS: Final = tuple(f"attempt:{slot}" for slot in range(MOST_ATTEMPTS))
"""Fields of a task's hash with the records of its failed tries; asynq has no such fields."""

_STATES: Final = {state.value.encode(): state for state in TaskState}


def stored_task(queue: str, task_id: str, fields: Fields, now: datetime) -> StoredTask:
    """Return the task with these *fields*, read at *now*.

    Raises:
        PoisonError: If its state is unknown.
    """
    data, state_name, result, group, score, over, *attempts = fields
    state = _STATES.get(state_name or b"")
    if state is None:
        raise PoisonError(len(data or b""))
    grouped = state is TaskState.AGGREGATING
    message, is_sound = read_message(queue, encode_name(task_id), data or b"")
    info = task_info(
        message,
        state,
        (score, result),
        now=now,
        orphaned=bool(over),
        attempts=decode_attempts(attempts),
    )
    return StoredTask(
        container=Container(
            queue=queue, state=state, group=decode_name(group or b"") if grouped else ""
        ),
        staged=grouped and score is None,
        id=task_id,
        message=message if is_sound else None,
        info=info if is_sound else None,
        version=data,
        size=len(data or b""),
    )


def read_task(queue: str, task_id: str, fields: Fields, now: datetime) -> TaskInfo:
    """Return the task with these *fields* (message, state and result), read at *now*.

    Raises:
        PoisonError: If its message cannot be decoded or its state is unknown.
    """
    data, state_name, result = fields
    message, is_sound = read_message(queue, encode_name(task_id), data or b"")
    state = _STATES.get(state_name or b"")
    if not is_sound or state is None:
        raise PoisonError(len(data or b""))
    return task_info(message, state, (None, result), now=now)


def task_info(
    message: TaskMessage,
    state: TaskState,
    stored: tuple[bytes | None, bytes | None],
    *,
    now: datetime,
    orphaned: bool = False,
    attempts: Sequence[Attempt] = (),
) -> TaskInfo:
    """Return the info of a task; *stored* is its score and its result."""
    score, result = stored
    next_process_at = None
    if state is TaskState.PENDING:
        next_process_at = now
    elif state in {TaskState.SCHEDULED, TaskState.RETRY} and score is not None:
        next_process_at = instant(float(score))
    return info_of_message(
        message,
        state=state,
        next_process_at=next_process_at,
        is_orphaned=orphaned and state is TaskState.ACTIVE,
        result=result,
        attempts=attempts,
    )


def number(text: bytes | None) -> int:
    """Return *text* as a number; 0 if it is not one."""
    return int(text) if text and text.lstrip(b"-").isdigit() else 0
