"""Create tasks in the same transaction as the data that they are about."""

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from pyasynq.broker.sqlite.user_transactions import Waiters, Written, create_within
from pyasynq.client.ids import new_ids
from pyasynq.client.writer import OutboxOptions, TaskWriter
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions, Options
from pyasynq.core.task import Task
from pyasynq.sqlite.sessions import async_runner_of, runner_of

if TYPE_CHECKING:
    import aiosqlite
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from pyasynq.core.compose import Composed

AnySession: TypeAlias = "Session | scoped_session[Any] | Connection | sqlite3.Connection"
AnyAsyncSession: TypeAlias = (
    "AsyncSession | async_scoped_session[Any] | AsyncConnection | aiosqlite.Connection"
)


class Outbox:
    """Creates tasks in your own transaction: they exist from its commit on, or never.

    Your data must be in the file that the workers use. The tables of pyasynq are made with the
    first task, in the same transaction. Coroutines and threads may share an outbox.
    """

    def __init__(self, **options: Unpack[OutboxOptions]) -> None:
        """Use *options*; see `OutboxOptions`.

        Raises:
            OptionError: If an option or a codec cannot be used.
            TypeError: If an option is unknown, or a middleware cannot be called as one.
        """
        self._writer = TaskWriter(options)
        self._waiters = Waiters()

    async def enqueue(
        self,
        session: "AnyAsyncSession",
        task: Task,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Create *task* in the transaction of *session*; see `add`. Middleware may wait here."""
        run = async_runner_of(session)

        async def end(task: Task, options: Options) -> TaskInfo:
            composed, create = self._compose(task, options)
            self._waiters.add(await run(create))
            return composed.info()

        return await self._writer.pass_on(task, options, end)

    def add(
        self,
        session: "AnySession",
        task: Task,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Create *task* in the transaction of *session*; return its id.

        Workers see the task after the commit; *process_in* counts from now. The commit of a
        SQLAlchemy session wakes them, also that of a connection once it is back in its pool;
        otherwise they find the task within 250 ms, or call `wake`.

        Raises:
            OptionError: If an option or the payload is not allowed, *task* is not a Task, the
                database is not SQLite, or a connection in autocommit mode is in no transaction.
            CodecError: If a codec cannot seal the payload.
            DuplicateTaskError: If another task holds the unique lock.
            TaskIDConflictError: If the queue holds a task with this id.
            BrokerError: If SQLite refuses. It does so at once if the transaction has read before it
                writes, and another one was committed in between: see `immediate`.
            MiddlewareError: If a middleware waits for something, which only `enqueue` allows. If it
                waits after the task was created, roll back to remove the task.
            Exception: Any error of a middleware.
            TypeError: If *session* is an asynchronous one, or something else.
            sqlite3.ProgrammingError: If its connection is closed, or belongs to another thread.

        After an error, other than of a middleware, the task is not there, and the transaction can
        go on.
        """
        run = runner_of(session)

        def end(task: Task, options: Options) -> TaskInfo:
            composed, create = self._compose(task, options)
            self._waiters.add(run(create))
            return composed.info()

        return self._writer.pass_on_at_once(task, options, end)

    def wake(self) -> None:
        """Wake workers after the commit of a sqlite3 or aiosqlite connection, which cannot tell."""
        self._waiters.notify()

    def _compose(self, task: Task, options: Options) -> "tuple[Composed, partial[Written]]":
        now = self._writer.clock.now()
        (task_id,) = new_ids(1)
        composed = self._writer.composer.compose(task, options, now=now, task_id=task_id)
        return composed, partial(create_within, plan=composed.plan, now=now)
