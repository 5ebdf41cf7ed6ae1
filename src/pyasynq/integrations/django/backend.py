"""A backend for Django's own tasks: those of Django 6, or of the package django-tasks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from asgiref.sync import async_to_sync
from django.core import checks
from django.db import transaction
from django.utils import timezone

from pyasynq.client.ids import new_ids
from pyasynq.core.errors import OptionError, QueueNotFoundError, TaskNotFoundError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import DEFAULT_QUEUE, check_all, check_known
from pyasynq.inspector import Inspector
from pyasynq.integrations.django.orm_outbox import alias_of, outbox
from pyasynq.integrations.django.project import project_app
from pyasynq.integrations.django.results import change, make_task, new_result, result_of
from pyasynq.integrations.django.task_api import (
    BaseTaskBackend,
    DjangoTask,
    InvalidTaskBackendError,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)

ENQUEUE: Final = ("on_commit", "at_once", "outbox")
"""The ways of enqueueing, the default first."""

DEFAULTS: Final = {"max_retry": 0, "retention": timedelta(days=1)}
"""Options of tasks that the project's settings do not give."""

TASK_OPTIONS: Final = ("max_retry", "timeout", "retention")


class PyasynqBackend(BaseTaskBackend):
    """Runs Django's own tasks with pyasynq.

    ``OPTIONS`` may have:

    - ``enqueue``: ``"on_commit"``, once the current transaction is committed, if there is one;
      ``"at_once"``; or ``"outbox"``, in the transaction, for a relay. The first when not given.
    - ``database``: Alias of the database with these transactions; the default one when not given.
    - ``max_retry``: Retries of each task; 0 when not given.
    - ``timeout``: Longest run, a timedelta; 30 minutes when not given.
    - ``retention``: How long results are kept after success, a timedelta; a day when not given.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        """Read the settings of the backend *alias*.

        Raises:
            InvalidTaskBackend: If an option cannot work.
        """
        super().__init__(alias, params)
        self.queues: set[str] = {*self.queues}
        given = cast("dict[str, Any]", self.options)
        try:
            check_known(given, ("enqueue", "database", *TASK_OPTIONS))
            self._way = _check_way(given.get("enqueue", ENQUEUE[0]))
            self._using = cast("str | None", given.get("database"))
            named: dict[str, Any] = {name: given[name] for name in TASK_OPTIONS if name in given}
            check_all(named)
        except (OptionError, TypeError) as error:
            msg = f"OPTIONS of the task backend {alias!r} cannot be used: {error}"
            raise InvalidTaskBackendError(msg) from error
        self._task_options: Mapping[str, Any] = {**DEFAULTS, **named}

    def enqueue(
        self, task: "DjangoTask[..., Any]", args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> "TaskResult[Any]":
        """Enqueue a call of *task*; return its result, which is not there yet.

        Raises:
            InvalidTask: If this backend cannot run it.
            TypeError: If an argument is not JSON.
            PyasynqError: Those of `Client.enqueue`.
        """
        self.validate_task(task)
        (task_id,) = new_ids(1)
        result = new_result(task, task_id, args, kwargs)
        change(result, backend=self.alias)
        work = make_task(result, self._task_options, datetime.now(UTC))

        def place() -> None:
            if self._way != "outbox":
                project_app().sync_client.enqueue(work)
            change(result, enqueued_at=timezone.now())
            task_enqueued.send(type(self), task_result=result)

        match self._way:
            case "at_once":
                place()
            case "outbox":
                using = alias_of(self._using)
                outbox.add(work, using=using)
                transaction.on_commit(place, using=using)
            case _:
                transaction.on_commit(place, using=self._using)
        return result

    def get_result(self, result_id: str) -> "TaskResult[Any]":
        """Return the result of the task with this id.

        Raises:
            TaskResultDoesNotExist: If there is no such task, or no more.
            BrokerError: If the broker does not answer.
        """
        return async_to_sync(self.aget_result)(result_id)

    async def aget_result(self, result_id: str) -> "TaskResult[Any]":
        """Return the result of the task with this id; see `get_result`."""
        async with project_app().inspector() as inspector:
            for queue in self.queues or await inspector.queues():
                found = await _find(inspector, queue, result_id)
                result = None if found is None else result_of(found)
                if result is not None:
                    return result
        raise TaskResultDoesNotExist(result_id)

    def check(self, **_options: Any) -> Iterable[checks.CheckMessage]:  # noqa: ANN401 - Django's
        """Warn of queues that the project's workers do not serve."""
        served = project_app().server_options().get("queues", (DEFAULT_QUEUE,))
        for queue in sorted(self.queues - {*served}):
            yield checks.Warning(
                f"the queue {queue!r} of the task backend {self.alias!r} is not in the queues of"
                " PYASYNQ",
                hint="add it to PYASYNQ['OPTIONS']['queues'], or name it to a worker with -Q",
                id="pyasynq.W001",
            )


def _check_way(way: object) -> str:
    if way not in ENQUEUE:
        raise OptionError("enqueue", way, f"one of {', '.join(ENQUEUE)}")
    return str(way)


async def _find(inspector: Inspector, queue: str, task_id: str) -> TaskInfo | None:
    try:
        return await inspector.task_info(queue, task_id)
    except (OptionError, QueueNotFoundError, TaskNotFoundError):
        return None
