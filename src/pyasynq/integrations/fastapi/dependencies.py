"""What endpoints depend on: the app, its client, and tasks that wait for the response."""

from typing import Final, Unpack

from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection, Request

from pyasynq.app import App
from pyasynq.client import Client
from pyasynq.core.errors import DuplicateTaskError, PyasynqError, TaskIDConflictError
from pyasynq.core.options import EnqueueOptions
from pyasynq.core.task import Task, check_task
from pyasynq.integrations.fastapi.lifespans import STATE
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.integrations")


def get_app(connection: HTTPConnection) -> App:
    """Return the app of the lifespan; a dependency, or called with a request or a websocket.

    Raises:
        PyasynqError: If `lifespan` does not run in this application.
    """
    app = getattr(connection.state, STATE, None) or getattr(connection.app.state, STATE, None)
    if not isinstance(app, App):
        msg = "the application has no pyasynq: make it with lifespan=lifespan(app), and let it run"
        raise PyasynqError(msg)
    return app


def get_client(connection: HTTPConnection) -> Client:
    """Return the open client of the lifespan's app; see `get_app`."""
    return get_app(connection).client


class AfterResponse:
    """Enqueues tasks after the response was sent, in one batch; a dependency of FastAPI.

    If the endpoint raises, nothing is enqueued. If the process ends before, or the broker does not
    answer, the tasks are lost, and the log has an error: use it for tasks that may be lost.
    """

    def __init__(self, request: Request, background: BackgroundTasks) -> None:
        """Enqueue with the app of *request*'s lifespan, as one of the tasks of *background*.

        Raises:
            PyasynqError: If `lifespan` does not run in this application.
        """
        self._app = get_app(request)
        self._background = background
        self._tasks: list[Task] = []

    def add(self, task: Task, **options: Unpack[EnqueueOptions]) -> None:
        """Enqueue *task* after the response; *process_in* counts from then.

        Raises:
            OptionError: If an option is not allowed, or *task* is not a Task.
            TypeError: If an option is unknown.
        """
        check_task(task)
        merged = Task(task.type, task.payload, headers=task.headers)
        merged.options = task.options.merge(**options)
        if not self._tasks:
            self._background.add_task(self._enqueue)
        self._tasks.append(merged)

    async def _enqueue(self) -> None:
        outcomes = await self._app.client.enqueue_many(self._tasks)
        for task, outcome in zip(self._tasks, outcomes, strict=True):
            match outcome:
                case DuplicateTaskError() | TaskIDConflictError():
                    log.info("%s is not enqueued after the response: %s", task.type, outcome)
                case PyasynqError():
                    log.error("%s is lost after the response: %s", task.type, outcome)
                case _:
                    pass
