"""Move the rows of a database that SQLAlchemy knows to their queues."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import ClassVar, Final, Self

from sqlalchemy import ColumnElement, Executable, and_, delete, func, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import StaticPool

from pyasynq.client import Client
from pyasynq.outbox.listener import Listener
from pyasynq.outbox.outbox import Outbox
from pyasynq.outbox.row_relay import MAX_ROWS, RowRelay, limit_bytes
from pyasynq.outbox.rows import Row, row_of
from pyasynq.runtime.actor import cancel_and_wait
from pyasynq.runtime.clock import Clock

_NO_TABLE: Final = ("no such table", "does not exist")


class Relay(RowRelay[AsyncConnection]):
    """Moves the rows of an outbox to their queues.

    Any number of relays may run on one outbox.
    """

    failures: ClassVar[tuple[type[Exception], ...]] = (SQLAlchemyError, OSError)

    def __init__(
        self,
        outbox: Outbox,
        engine: AsyncEngine,
        client: Client,
        *,
        poll_interval: timedelta = timedelta(seconds=1),
        clock: Clock | None = None,
    ) -> None:
        """Move the rows of *outbox* with *engine* and *client*, which stay yours to close.

        Args:
            outbox: The outbox.
            engine: The database. With asyncpg one connection of its pool stays in use, to get
                notifications from other processes.
            client: Enqueues the tasks.
            poll_interval: Longest time until rows are found without a notification.
            clock: Tells the time; a test may pass its own.

        Raises:
            NotSupportedError: If the client's broker keeps no receipts.
            TypeError: If the engine is not one of asyncio.
        """
        if not isinstance(engine, AsyncEngine):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = "a Relay needs an AsyncEngine: make it with create_async_engine"
            raise TypeError(msg)
        super().__init__(client, poll_interval=poll_interval, clock=clock)
        self._outbox = outbox
        self._engine = engine

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Relay while the block runs; at its end, let a running pass end.

        Raises:
            TypeError: If all sessions of the engine share one connection.
        """
        if isinstance(self._engine.pool, StaticPool):
            # Its rollbacks would undo what a session has written and not yet committed.
            msg = (
                "a Relay that runs beside your program needs a connection of its own, but this "
                "engine has only one, as that of a database in memory has: use a file, or step"
            )
            raise TypeError(msg)
        async with super().running():
            yield self

    @asynccontextmanager
    async def _waking(self, wake: Callable[..., None]) -> AsyncGenerator[None]:
        listening: list[asyncio.Task[None]] = []
        if self._engine.dialect.driver == "asyncpg":
            listener = Listener(self._engine, self._outbox.channel, wake, clock=self._clock)
            listening.append(asyncio.create_task(listener.run()))
        try:
            with self._outbox.waking(wake):
                yield
        finally:
            await cancel_and_wait(listening)

    def _connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.connect()

    async def _read(
        self, connection: AsyncConnection, failed: Iterable[str]
    ) -> tuple[list[Row], bool]:
        found = (await connection.execute(self._waiting(failed))).mappings().all()
        if not found:
            return [], False
        chosen = limit_bytes([(columns["seq"], columns["size"]) for columns in found])
        table = self._outbox.table
        is_full = len(found) == MAX_ROWS or len(chosen) < len(found)
        query = select(table).where(table.c.seq.in_(chosen)).order_by(table.c.seq)
        found_rows = (await connection.execute(query)).mappings()
        rows = [row_of(columns) for columns in found_rows]
        if connection.dialect.name == "sqlite":
            # SQLite locks the whole database, and no writer must wait for the broker. If another
            # relay sends the same rows, one of the two learns it from the receipts.
            await connection.rollback()
        return rows, is_full

    def _waiting(self, failed: Iterable[str]) -> Executable:
        table = self._outbox.table
        return (
            select(table.c.seq, func.length(table.c.message).label("size"))
            .where(table.c.error.is_(None), table.c.queue.not_in(list(failed)))
            .order_by(table.c.seq)
            .limit(MAX_ROWS)
            .with_for_update(skip_locked=True)
        )

    async def _keep(self, connection: AsyncConnection, row: Row, error: str) -> None:
        change = update(self._outbox.table).where(self._match([row]))
        await connection.execute(change.values(error=error))

    async def _delete(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        await connection.execute(delete(self._outbox.table).where(self._match(rows)))

    async def _commit(self, connection: AsyncConnection) -> None:
        await connection.commit()

    async def _close_database(self) -> None:
        await self._engine.dispose()

    def _match(self, rows: Sequence[Row]) -> ColumnElement[bool]:
        """Return the condition that selects *rows*, by number and id, and no others."""
        table = self._outbox.table
        seqs, ids = [row.seq for row in rows], [row.id for row in rows]
        return and_(table.c.seq.in_(seqs), table.c.id.in_(ids))

    def _hint(self, error: Exception) -> str:
        table = self._outbox.table.name
        text = str(error.orig) if isinstance(error, DBAPIError) else ""
        if table in text and any(words in text for words in _NO_TABLE):
            return f": make the table {table} by a migration, or outbox.table.metadata.create_all"
        return ""
