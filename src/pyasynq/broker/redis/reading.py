"""What stands in Redis, as a user reads it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pyasynq.broker.ports.inspection import Place, Spot
from pyasynq.broker.redis.records import read_id, read_message, written
from pyasynq.core import message as wire
from pyasynq.core.errors import PoisonError
from pyasynq.core.info import ServerInfo, TaskInfo, WorkerInfo, described
from pyasynq.core.states import TaskState

Fields: TypeAlias = Sequence[bytes | None]

_STATES: Final = {state.value.encode(): state for state in TaskState}


def read_spot(queue: str, fields: Fields) -> Spot:
    """Return where the task with these *fields* is.

    Raises:
        PoisonError: If it is in no state that there is.
    """
    data, word, _, group, score, _ = fields
    state = _STATES.get(word or b"")
    if state is None:
        raise PoisonError(len(data or b""))
    if state is not TaskState.AGGREGATING:
        return Spot(place=Place(queue=queue, state=state), staged=False)
    place = Place(queue=queue, state=state, group=read_id(group or b""))
    return Spot(place=place, staged=score is None)


def read_task(queue: str, task_id: str, fields: Fields) -> TaskInfo:
    """Return the task with these *fields*: message, state, result.

    Raises:
        PoisonError: If they make no task.
    """
    data, state_word, result = fields
    message, state = sound(queue, task_id, data, state_word)
    return task_info(message, state, (None, result), orphaned=False)


def sound(
    queue: str, task_id: str, data: bytes | None, word: bytes | None
) -> tuple[wire.TaskMessage, TaskState]:
    """Return message and state.

    Raises:
        PoisonError: If one of them is none.
    """
    message, sound = read_message(queue, written(task_id), data or b"")
    state = _STATES.get(word or b"")
    if not sound or state is None:
        raise PoisonError(len(data or b""))
    return message, state


def task_info(
    message: wire.TaskMessage,
    state: TaskState,
    at: tuple[bytes | None, bytes | None],
    *,
    orphaned: bool,
) -> TaskInfo:
    """Return what a user reads of a task; *at* are its score and its result."""
    score, result = at
    next_process_at = None
    if state is TaskState.PENDING:
        next_process_at = datetime.now(UTC)
    elif state in {TaskState.SCHEDULED, TaskState.RETRY} and score is not None:
        next_process_at = wire.instant(float(score))
    return described(
        message,
        state=state,
        next_process_at=next_process_at,
        is_orphaned=orphaned and state is TaskState.ACTIVE,
        result=result,
    )


def number(text: bytes | None) -> int:
    """Return the number that *text* says; 0 where it says none."""
    return int(text) if text and text.lstrip(b"-").isdigit() else 0


def worker_info(worker: wire.WorkerInfo) -> WorkerInfo:
    """Return what a user reads of a running task."""
    return WorkerInfo(
        task_id=worker.task_id,
        task_type=worker.task_type,
        task_payload=worker.task_payload,
        queue=worker.queue,
        started=wire.when(worker.start_time),
        deadline=wire.when(worker.deadline),
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
        started=wire.when(server.start_time),
        status=server.status,
        active_workers=workers,
    )
