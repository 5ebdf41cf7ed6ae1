"""Write tasks into the database, in the same transaction as the data that they are about."""

import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Unpack

from sqlalchemy import MetaData, Table, event, func, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from pyasynq.client.writer import OutboxOptions, TaskWriter
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions, Options
from pyasynq.core.task import Task
from pyasynq.outbox.rows import TABLE, values_of
from pyasynq.outbox.table import make_table


class Outbox:
    """A table of tasks that a `Relay` moves to their queues.

    Attributes:
        table: The table, for migrations, ``create_all``, and queries of your own.
    """

    def __init__(
        self,
        metadata: MetaData | None = None,
        *,
        table: str = TABLE,
        notify: bool = True,
        **options: Unpack[OutboxOptions],
    ) -> None:
        """Declare the table in *metadata*.

        Args:
            metadata: Metadata of your own tables, so that migrations see the table; None for new
                metadata.
            table: Name of the table.
            notify: Whether, on PostgreSQL, a commit wakes the relays of other processes.
            **options: See `OutboxOptions`.

        Raises:
            OptionError: If an option or a codec cannot be used.
            TypeError: If an option is unknown, or a middleware cannot be called as one.
        """
        self._writer = TaskWriter(options)
        self.table: Table = make_table(table, MetaData() if metadata is None else metadata)
        self._notify = notify
        self._insert = insert(self.table)
        # NOTIFY in the same statement saves a round trip; PostgreSQL delivers it at the commit.
        self._insert_and_notify = self._insert.returning(func.pg_notify(table, ""))
        self._wakers: set[Callable[[], None]] = set()

    @property
    def channel(self) -> str:
        """PostgreSQL channel on which relays are notified of written tasks."""
        return self.table.name

    async def enqueue(
        self,
        session: AsyncSession | async_scoped_session[Any],
        task: Task,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Write *task* in the transaction of *session*; see `add`. Middleware may wait here."""
        own = session() if isinstance(session, async_scoped_session) else session
        if not isinstance(own, AsyncSession):
            msg = "enqueue needs an AsyncSession: with a plain Session call outbox.add"
            raise TypeError(msg)

        async def end(task: Task, options: Options) -> TaskInfo:
            return await own.run_sync(lambda inner: self._write(inner, task, options))

        return await self._writer.pass_on(task, options, end)

    def add(
        self,
        session: Session | scoped_session[Any],
        task: Task,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Write *task* in the transaction of *session*; return its task id.

        The relay enqueues the task after the commit; *process_in* counts from now. If the queue has
        a task with this *task_id* by then, or the unique lock is held, the task is dropped.

        Raises:
            OptionError: If an option or the payload is not allowed, or *task* is not a Task;
                nothing was written.
            CodecError: If a codec cannot seal the payload; nothing was written.
            MiddlewareError: If a middleware waits for something, which only `enqueue` allows. If it
                waits after the task was written, roll back to remove the task.
            Exception: Any error of a middleware.
            SQLAlchemyError: If the database refused the row.
            TypeError: If the session is an AsyncSession, or not a session.
        """
        if isinstance(session, AsyncSession | async_scoped_session):
            msg = "add needs a plain Session: with an AsyncSession use await outbox.enqueue"
            raise TypeError(msg)
        # Take the session of this thread or request: events of the registry come from all sessions.
        own: object = session() if isinstance(session, scoped_session) else session
        if not isinstance(own, Session):
            msg = f"add needs a Session, whose transaction the task is part of, got {own!r}"
            raise TypeError(msg)

        def end(task: Task, options: Options) -> TaskInfo:
            return self._write(own, task, options)

        return self._writer.pass_on_at_once(task, options, end)

    def _write(self, session: Session, task: Task, options: Options) -> TaskInfo:
        row_id, now = str(uuid.uuid4()), self._writer.clock.now()
        composed = self._writer.composer.compose(task, options, now=now, task_id=row_id)
        connection = session.connection(bind_arguments={"clause": self.table})
        notifies = self._notify and connection.dialect.name == "postgresql"
        statement = self._insert_and_notify if notifies else self._insert
        connection.execute(statement, values_of(composed.plan, row_id=row_id, now=now)).close()
        self._wake_after_commit(session)
        return composed.info()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Generator[None]:
        """While the block runs, call *wake* after each commit in this process, in its thread."""
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def _wake_after_commit(self, session: Session) -> None:
        # Wait for the end of the outermost transaction: "after_commit" also comes for savepoints.
        # A rollback wakes the relays, too, which does no harm.
        if self not in session.info:
            event.listen(session, "after_transaction_end", self._wake)
        session.info[self] = True

    def _wake(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None and session.info.get(self):
            session.info[self] = False
            for wake in tuple(self._wakers):
                wake()
