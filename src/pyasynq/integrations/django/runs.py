"""Run the tasks of Django's own API in a worker, and send its signals."""

import functools
import os
import socket
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any, Final

import msgspec
from django.utils import timezone

from pyasynq.app import App
from pyasynq.core.control import (
    HandlerNotFoundError,
    LeaseExpiredError,
    PayloadError,
    RevokeTask,
    Snooze,
)
from pyasynq.core.verdict import decisive_error, is_final
from pyasynq.integrations.django.backend import PyasynqBackend
from pyasynq.integrations.django.failures import PREFIX, reporters
from pyasynq.integrations.django.results import Record, change, encode, find_function, read_call
from pyasynq.integrations.django.task_api import (
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_backends,
    task_finished,
    task_started,
)
from pyasynq.server import ActiveTask
from pyasynq.server.run.traces import format_traceback

_running: Final[ContextVar[tuple[Record, "TaskResult[Any]"]]] = ContextVar("pyasynq_django_run")
"""What runs in this asyncio task."""


def serve(app: App) -> None:
    """Let *app* handle Django's own tasks, if a backend of the project enqueues them."""
    if any(isinstance(backend, PyasynqBackend) for backend in task_backends.all()):
        app.mux.add(PREFIX, run, exact=False, runs_in=None)
        reporters.append(report_failure)


async def run(task: ActiveTask) -> None:
    """Run *task*, and store what its function returns.

    Raises:
        HandlerNotFoundError: If there is no such function.
        PayloadError: If the payload is no call.
        Exception: Any error of the function.
    """
    result = _read(task)
    now = datetime.now(UTC)
    record = Record(started_at=now, worker=_worker_id(), retried=task.retried)
    change(
        result,
        status=TaskResultStatus.RUNNING,
        started_at=timezone.now(),
        last_attempted_at=timezone.now(),
        worker_ids=[""] * task.retried + [record.worker],
    )
    _running.set((record, result))
    await task.write_result(encode(record))
    await task_started.asend_robust(sender=_sender(result), task_result=result)
    value = normalize_json(await _call(task, result))
    ended = msgspec.structs.replace(record, ended_at=datetime.now(UTC), value=value)
    await task.write_result(encode(ended))
    change(
        result,
        status=TaskResultStatus.SUCCESSFUL,
        finished_at=timezone.now(),
        _return_value=value,
    )
    await task_finished.asend_robust(sender=_sender(result), task_result=result)


async def report_failure(task: ActiveTask, error: Exception, *, hide_errors: bool) -> None:
    """Store *error* with *task*, and send the signal if no retry follows."""
    decisive = decisive_error(task.type, error)
    if isinstance(decisive, RevokeTask | Snooze | LeaseExpiredError | HandlerNotFoundError):
        return  # it has not failed, or another worker runs it
    record, result = _running.get((None, None))
    if record is None or result is None:
        return  # it has not begun
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    text = "" if hide_errors else _format(error)
    ended = msgspec.structs.replace(record, ended_at=datetime.now(UTC), error=path, traceback=text)
    await task.write_result(encode(ended))
    if is_final(task.type, error) or task.retried >= task.max_retry:
        result.errors.append(TaskError(exception_class_path=path, traceback=text))
        change(result, status=TaskResultStatus.FAILED, finished_at=timezone.now())
        await _send_failed(result, error)


async def _send_failed(result: "TaskResult[Any]", error: Exception) -> None:
    """Send the signal while *error* is handled: Django's own receiver logs it that way."""
    frames = error.__traceback__
    try:
        raise error  # noqa: TRY301
    except Exception:  # noqa: BLE001 - the user's
        await task_finished.asend_robust(sender=_sender(result), task_result=result)
    finally:
        error.__traceback__ = frames


def _format(error: Exception) -> str:
    """Return the traceback of *error* from the user's code on."""
    found = format_traceback(error)
    if found is None:
        return "".join(traceback.format_exception_only(error))
    return "".join(traceback.format_exception(*found))


def _read(task: ActiveTask) -> "TaskResult[Any]":
    result = read_call(task.type, task.id, task.queue, task.payload, task.headers)
    if result is not None:
        return result
    if find_function(task.type) is None:
        raise HandlerNotFoundError(task.type)
    msg = "it is no call of a function"
    raise PayloadError(task.type, msg)


async def _call(task: ActiveTask, result: "TaskResult[Any]") -> object:
    """Call the function: an ``async def`` in the loop, a ``def`` in a thread of the worker."""
    function: Callable[..., Any] = result.task.func
    context = [TaskContext(task_result=result)] if result.task.takes_context else []
    call: Callable[[], Any] = functools.partial(function, *context, *result.args, **result.kwargs)
    return await call() if iscoroutinefunction(function) else await task.in_thread(call)


def _sender(result: "TaskResult[Any]") -> type:
    return type(task_backends[result.backend])


@functools.cache
def _host() -> str:
    return socket.gethostname()


def _worker_id() -> str:
    return f"{_host()}:{os.getpid()}"
