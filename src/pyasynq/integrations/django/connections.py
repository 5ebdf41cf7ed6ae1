"""Connections of Django's databases around tasks: each belongs to one thread."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import Error, close_old_connections, connections, reset_queries

from pyasynq.broker import is_replaced
from pyasynq.runtime.loggers import get_logger
from pyasynq.server import ActiveTask
from pyasynq.server.mux import AsyncHandler

log: Final = get_logger("pyasynq.django")


@contextmanager
def fresh_connections() -> Generator[None]:
    """Close connections that are broken or too old before and after a plain function.

    Django does the same around a request.
    """
    reset_queries()
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


async def in_own_thread(task: ActiveTask, call_next: AsyncHandler) -> object:
    """Run *task*, and whatever synchronous code it awaits, in a thread of its own; a middleware.

    Without this, the queries of all tasks of the process would wait for each other in one thread.
    In a test, whose tasks are in memory, they stay in the thread of the test, so that they see its
    transaction.
    """
    task.use_in_thread(fresh_connections)
    if is_replaced():
        return await call_next(task)
    async with _OwnThread():
        return await call_next(task)


class _OwnThread(ThreadSensitiveContext):
    """A thread for the synchronous code of one task; made when it is first used."""

    async def __aexit__(self, *error: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Let the thread close its connections and end, without waiting for that."""
        executor = SyncToAsync.context_to_thread_executor.pop(self, None)
        leave = cast("Callable[..., Awaitable[None]]", super().__aexit__)
        await leave(*error)
        if executor is not None:
            executor.submit(_close_all)
            executor.shutdown(wait=False)


def _close_all() -> None:
    try:
        connections.close_all()
    except Error:
        log.exception("cannot close a connection to the database")
