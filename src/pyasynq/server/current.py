"""The task whose handler runs here."""

from typing import cast

from pyasynq.core.errors import PyasynqError
from pyasynq.runtime import calls
from pyasynq.server.context import ActiveTask


def current_task() -> ActiveTask:
    """Return the task whose handler runs here, for code that did not get it as an argument.

    Raises:
        PyasynqError: Outside a handler.
    """
    try:
        return cast("ActiveTask", calls.current.get())
    except LookupError:
        msg = "no task is running here: current_task() works inside a handler"
        raise PyasynqError(msg) from None


def set_current_task(task: ActiveTask) -> None:
    """Make *task* current in this asyncio task and the asyncio tasks that it starts."""
    calls.current.set(task)
