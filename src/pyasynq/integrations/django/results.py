"""Tasks of Django's own API as pyasynq's tasks, and back.

Their type is the path of the function, their payload its arguments. Headers hold what only Django
wants to know. The result is a `Record`, which the worker writes when a run begins and when it ends.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from pyasynq.core.attempts import Attempt
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import TaskState
from pyasynq.core.task import Task
from pyasynq.integrations.django.failures import PREFIX
from pyasynq.integrations.django.task_api import (
    DjangoTask,
    TaskError,
    TaskResult,
    TaskResultStatus,
)

if TYPE_CHECKING:
    from pyasynq.core.options import TaskOptions

BACKEND: Final = "django:backend"
ENQUEUED_AT: Final = "django:enqueued-at"
RUN_AFTER: Final = "django:run-after"

STATUSES: Final = {
    TaskState.ACTIVE: TaskResultStatus.RUNNING,
    TaskState.COMPLETED: TaskResultStatus.SUCCESSFUL,
    TaskState.ARCHIVED: TaskResultStatus.FAILED,
}
"""Status of a task in each state; in all others it is ready."""

_RAISED: Final = re.compile(r"^([A-Za-z_]\w*(?:\.\w+)*)(?::|$)", re.MULTILINE)
"""A line of a traceback that names the class of the error."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker stores with a task.

    Attributes:
        started_at: When the last run began.
        worker: Host and process id of its worker, joined by a colon.
        retried: Retries that were spent before it.
        ended_at: When it ended; None while it runs, or if its worker died.
        value: What the function returned, as JSON.
        error: Path of the class of its error; empty without one.
        traceback: The traceback of the error.
    """

    started_at: datetime
    worker: str
    retried: int
    ended_at: datetime | None = None
    value: Any = None
    error: str = ""
    traceback: str = ""


def find_function(type: str) -> "DjangoTask[..., Any] | None":
    """Return the task whose function the path in *type* names; None if there is none."""
    path = type.removeprefix(PREFIX)
    try:
        found = import_string(path)
    except ImportError:
        return None
    task = cast("DjangoTask[..., Any]", found) if isinstance(found, DjangoTask) else None
    return task if task is not None and task.module_path == path else None


def type_of(task: "DjangoTask[..., Any]") -> str:
    """Return the type of tasks that call the function of *task*."""
    return PREFIX + task.module_path


def payload_of(args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
    """Return arguments that are JSON as a payload."""
    return json.dumps({"args": args, "kwargs": kwargs}, separators=(",", ":")).encode()


def headers_of(result: "TaskResult[Any]", enqueued_at: datetime) -> dict[str, str]:
    """Return what Django wants to know about the task of *result*."""
    headers = {BACKEND: result.backend, ENQUEUED_AT: enqueued_at.isoformat()}
    if result.task.run_after is not None:
        headers[RUN_AFTER] = result.task.run_after.isoformat()
    return headers


def new_result(
    task: "DjangoTask[..., Any]",
    task_id: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
) -> "TaskResult[Any]":
    """Return the result of a task that nobody has run yet."""
    return TaskResult(
        task=task,
        id=task_id,
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=list(args),
        kwargs=dict(kwargs),
        backend=task.backend,
        errors=[],
        worker_ids=[],
    )


def change(result: "TaskResult[Any]", **changes: object) -> None:
    """Set attributes of *result*, as Django's backends do although it is frozen."""
    for name, value in changes.items():
        object.__setattr__(result, name, value)


def read_call(
    task_type: str, task_id: str, queue: str, payload: bytes, headers: Mapping[str, str]
) -> "TaskResult[Any] | None":
    """Return the call that a stored task holds, as one that nobody has run yet.

    Returns:
        None if its function is not there any more, or its payload is no call.
    """
    task = find_function(task_type)
    try:
        call = json.loads(payload)
        args, kwargs = cast("list[Any]", call["args"]), cast("dict[str, Any]", call["kwargs"])
    except (ValueError, KeyError, TypeError):
        return None
    if task is None:
        return None
    run_after = headers.get(RUN_AFTER)
    task = task.using(
        queue_name=queue,
        backend=headers.get(BACKEND),
        run_after=None if run_after is None else datetime.fromisoformat(run_after),
    )
    result = new_result(task, task_id, args, kwargs)
    if ENQUEUED_AT in headers:
        change(result, enqueued_at=to_django(datetime.fromisoformat(headers[ENQUEUED_AT])))
    return result


def result_of(info: TaskInfo) -> "TaskResult[Any] | None":
    """Return the result of a stored task; None if it is no readable task of Django's own API."""
    if not info.type.startswith(PREFIX):
        return None
    result = read_call(info.type, info.id, info.queue, info.payload, info.headers)
    if result is None:
        return None
    change(result, status=STATUSES.get(info.state, TaskResultStatus.READY))
    record = _decode(info.result)
    if record is not None:
        began_at = to_django(record.started_at)
        change(result, started_at=began_at, last_attempted_at=began_at, _return_value=record.value)
    if result.is_finished:
        known = record and record.ended_at
        change(result, finished_at=to_django(known or info.completed_at or info.last_failed_at))
    _add_tries(result, info.attempts, record)
    return result


def _add_tries(
    result: "TaskResult[Any]", attempts: Sequence[Attempt], record: Record | None
) -> None:
    """Add the workers and the errors of all tries, of which *record* is the last."""
    errors = {it.retried: _error_of(it) for it in attempts}
    workers = {it.retried: it.worker for it in attempts}
    if record is not None:
        workers[record.retried] = record.worker
    if record is not None and record.error:
        errors[record.retried] = TaskError(
            exception_class_path=record.error, traceback=record.traceback
        )
    change(
        result,
        errors=[errors[number] for number in sorted(errors)],
        worker_ids=[workers.get(number, "") for number in range(max(workers, default=-1) + 1)],
    )


def to_django(instant: datetime | None) -> datetime | None:
    """Return an aware *instant* as Django's setting ``USE_TZ`` wants it."""
    if instant is None or settings.USE_TZ:
        return instant
    return timezone.make_naive(instant)


def _decode(data: bytes | None) -> Record | None:
    try:
        return msgspec.json.decode(data, type=Record) if data else None
    except msgspec.DecodeError:
        return None


def _error_of(attempt: Attempt) -> "TaskError":
    """Return the error of a try, whose class only its traceback names."""
    paths = (name if "." in name else f"builtins.{name}" for name in _named(attempt))
    path = next(filter(_is_error, paths), "builtins.Exception")
    return TaskError(exception_class_path=path, traceback=attempt.traceback or attempt.error)


def _named(attempt: Attempt) -> Sequence[str]:
    """Return what may be the names of classes in a traceback, the last first."""
    return [*reversed(_RAISED.findall(attempt.traceback)), *_RAISED.findall(attempt.error)]


def _is_error(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, BaseException)


def encode(record: Record) -> bytes:
    """Return *record* as the result of a task."""
    return msgspec.json.encode(record)


def make_task(result: "TaskResult[Any]", options: Mapping[str, Any], now: datetime) -> Task:
    """Return the task to enqueue for *result*, with the *options* of its backend."""
    run_after = result.task.run_after
    if run_after is not None and timezone.is_naive(run_after):
        run_after = timezone.make_aware(run_after)
    if run_after is not None:
        options = {**options, "process_at": run_after}
    task = cast("DjangoTask[..., Any]", result.task)
    given = {**options, "queue": task.queue_name, "task_id": result.id}
    return Task(
        type_of(task),
        payload_of(cast("list[object]", result.args), result.kwargs),
        headers=headers_of(result, now),
        **cast("TaskOptions", given),
    )
