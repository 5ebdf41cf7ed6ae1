"""What happens when a run of a task has failed."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from asgiref.sync import sync_to_async

from pyasynq.runtime.threads import is_async
from pyasynq.server import ActiveTask
from pyasynq.server.config import OnError

PREFIX: Final = "django:"
"""Start of the types of tasks that come from Django's own API; the path of the function follows."""


class Reporter(Protocol):
    """Reports failures of tasks from Django's own API."""

    async def __call__(self, task: ActiveTask, error: Exception, *, hide_errors: bool) -> None:
        """Report that *task* has failed with *error*."""
        ...


reporters: Final[list[Reporter]] = []
"""Empty if the project has no such tasks."""


def reporter_of(
    inner: OnError | None, *, hide_errors: bool
) -> Callable[[ActiveTask, Exception], Awaitable[None]]:
    """Return an ``on_error`` that knows Django's own tasks, and then calls *inner*, if any.

    Args:
        inner: The project's own ``on_error``; a plain function runs in a thread.
        hide_errors: Keep tracebacks, which may show personal data, out of results.
    """

    async def report(task: ActiveTask, error: Exception) -> None:
        if task.type.startswith(PREFIX):
            for report_own in reporters:
                await report_own(task, error, hide_errors=hide_errors)
        if inner is not None:
            call = inner if is_async(inner) else sync_to_async(inner, thread_sensitive=False)
            answer = call(task, error)
            if answer is not None:
                await answer

    return report
