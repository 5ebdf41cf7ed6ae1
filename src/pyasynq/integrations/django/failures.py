"""What happens when a run of a task has failed."""

from collections.abc import Awaitable, Callable
from typing import Final

from asgiref.sync import sync_to_async

from pyasynq.runtime.threads import is_async
from pyasynq.server import ActiveTask
from pyasynq.server.config import OnError

PREFIX: Final = "django:"
"""Start of the types of tasks that come from Django's own API; the path of the function follows."""


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
            from pyasynq.integrations.django.runs import report_failure

            await report_failure(task, error, hide_errors=hide_errors)
        if inner is not None:
            call = inner if is_async(inner) else sync_to_async(inner, thread_sensitive=False)
            answer = call(task, error)
            if answer is not None:
                await answer

    return report
