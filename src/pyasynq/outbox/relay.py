"""Move tasks from the database to their queues, each once.

A relay may die at any point: before it has enqueued the task of a row, before it has deleted the
row, or before it has committed the deletion. The call that enqueues a task also stores a receipt in
the broker. From the receipt the next relay knows that it must only delete the row, even if the task
is done by then.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, Self, TypeAlias

from sqlalchemy import ColumnElement, Executable, and_, delete, func, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pyasynq.broker import Created, NewTask, Receipt
from pyasynq.client import Client
from pyasynq.core.errors import BrokerError, PoisonError
from pyasynq.outbox.listener import Listener
from pyasynq.outbox.outbox import Outbox
from pyasynq.outbox.rows import Row, row_of
from pyasynq.runtime.actor import OutageLog, StepSignal, Wakeable, cancel_and_wait
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.service import Service
from pyasynq.runtime.waiting import wait_for_first

log: Final = get_logger("pyasynq.outbox")

Outcome: TypeAlias = Created | PoisonError
Outcomes: TypeAlias = Sequence[tuple[Row, Outcome]]

MAX_ROWS: Final = 128
MAX_BYTES: Final = 1024 * 1024
"""Largest total of messages in one batch; a batch has at least one message."""

RECEIPT_TTL_S: Final = 7 * 86_400
"""Seconds for which a receipt is kept while its row may exist."""

SENT_RECEIPT_TTL_S: Final = 600
"""Seconds for which a receipt is kept after its row was deleted; another relay may have read it."""

STALE_S: Final = SENT_RECEIPT_TTL_S / 2
"""After this many seconds a batch is read again, because another relay may have sent it."""

PACE_S: Final = 0.02
"""Pause after a pass, in seconds; so one pass moves the rows of several commits."""

PATIENCE_S: Final = 5.0
"""Seconds that a running pass gets to end when the relay stops."""


class StaleError(Exception):
    """The process was frozen between reading a batch and sending it."""


_NO_TABLE: Final = ("no such table", "does not exist")


class Relay:
    """Moves the rows of an outbox to their queues.

    Any number of relays may run on one outbox.

    Attributes:
        name: Its name in logs.
        passes: Signals the end of each pass; tests await it instead of sleeping.
    """

    name = "relay"

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
        self.passes: StepSignal = StepSignal()
        self._outbox = outbox
        self._engine = engine
        self._client = client
        self._port = client.broker.creation
        self._receipts = client.broker.receipts
        self._poll_s = poll_interval.total_seconds()
        self._clock = clock or Clock()
        self._outages = OutageLog(report=self._report_outage)
        self._mover = _Mover(self, self._poll_s, clock=self._clock, outages=self._outages)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Relay while the block runs; at its end, let a running pass end."""
        enable_loggers()
        async with Service().running([self], drain=self._drain):
            yield self

    async def run(self) -> None:
        """Relay until cancelled, or until the block of `running` ends."""
        loop = asyncio.get_running_loop()
        # A new one for each run: a finished mover starts no more passes.
        self._mover = mover = _Mover(self, self._poll_s, clock=self._clock, outages=self._outages)

        def wake(*_notification: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and the relay with it
                loop.call_soon_threadsafe(mover.wake)

        listening: list[asyncio.Task[None]] = []
        if self._engine.dialect.driver == "asyncpg":
            listener = Listener(self._engine, self._outbox.channel, wake, clock=self._clock)
            listening.append(asyncio.create_task(listener.run()))
        try:
            with self._outbox.waking(wake):
                await mover.run()
        finally:
            await cancel_and_wait(listening)

    async def aclose(self) -> None:
        """Close the client and the engine; for programs that use both only for this relay."""
        try:
            await self._client.aclose()
        finally:
            await run_to_end(self._engine.dispose)

    async def step(self) -> None:
        """Move all rows that can be moved now.

        Raises:
            BrokerError: If a queue could not be reached; the rows of other queues were moved.
            SQLAlchemyError, OSError: If the database could not be reached.
        """
        failed: dict[str, BrokerError] = {}
        more = True
        while more:
            more, errors = await self._move(failed)
            failed |= errors
        if failed:
            raise next(iter(failed.values()))

    async def _drain(self) -> None:
        """Wait until a running pass has ended, at most `PATIENCE_S`."""
        await wait_for_first(self._mover.finish(), within_s=PATIENCE_S)

    async def _move(self, failed: Iterable[str]) -> tuple[bool, dict[str, BrokerError]]:
        """Move a batch; return whether there may be more rows, and the errors by queue."""
        read_at = self._clock.monotonic()
        async with self._engine.connect() as connection:
            rows, more = await self._read(connection, failed)
            if not rows:
                return False, {}
            if self._clock.monotonic() - read_at > STALE_S:
                raise StaleError
            outcomes = await self._send(rows)
            deleted = await self._write(connection, outcomes)
            await connection.commit()
        await self._shorten(deleted)
        return more, {row.queue: error for row, error in outcomes if isinstance(error, BrokerError)}

    async def _read(
        self, connection: AsyncConnection, failed: Iterable[str]
    ) -> tuple[list[Row], bool]:
        """Return the next batch, oldest first, locked against other relays; and whether it is full.

        Rows that are committed later wake the relay again.
        """
        found = (await connection.execute(self._waiting(failed))).mappings().all()
        if not found:
            return [], False
        chosen = _limit_bytes([(columns["seq"], columns["size"]) for columns in found])
        table = self._outbox.table
        is_full = len(found) == MAX_ROWS or len(chosen) < len(found)
        query = select(table).where(table.c.seq.in_(chosen)).order_by(table.c.seq)
        rows = [row_of(columns) for columns in (await connection.execute(query)).mappings()]
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

    async def _send(self, rows: Sequence[Row]) -> Outcomes:
        """Enqueue the tasks of *rows*; return the outcome of each."""
        valid = [(row, row.plan) for row in rows if not isinstance(row.plan, PoisonError)]
        new = [NewTask(plan, Receipt(row=row.id, ttl_s=RECEIPT_TTL_S)) for row, plan in valid]
        answers = await self._port.create(new)
        poison = [(row, row.plan) for row in rows if isinstance(row.plan, PoisonError)]
        return [*poison, *zip((row for row, _ in valid), answers, strict=True)]

    async def _write(self, connection: AsyncConnection, outcomes: Outcomes) -> list[Row]:
        """Delete the rows of enqueued tasks; keep rows that can never be sent, with their error."""
        deleted: list[Row] = []
        for row, outcome in outcomes:
            match outcome:
                case BrokerError():
                    pass
                case PoisonError():
                    log.error("row %s cannot be enqueued and is kept: %s", row.id, outcome)
                    change = update(self._outbox.table).where(self._match([row]))
                    await connection.execute(change.values(error=str(outcome)))
                case _:
                    log.debug("row %s is relayed: %s", row.id, outcome)
                    deleted.append(row)
        await connection.execute(delete(self._outbox.table).where(self._match(deleted)))
        return deleted

    def _match(self, rows: Sequence[Row]) -> ColumnElement[bool]:
        """Return the condition that selects *rows*, by number and id, and no others."""
        table = self._outbox.table
        seqs, ids = [row.seq for row in rows], [row.id for row in rows]
        return and_(table.c.seq.in_(seqs), table.c.id.in_(ids))

    async def _shorten(self, deleted: Sequence[Row]) -> None:
        """Let receipts expire soon: they cost memory, and most are never read."""
        rows = [
            (r.plan.message.queue, r.id) for r in deleted if not isinstance(r.plan, PoisonError)
        ]
        with suppress(BrokerError):  # then they expire later
            await self._receipts.expire(rows, ttl_s=SENT_RECEIPT_TTL_S)

    def _report_outage(self, error: Exception | None) -> None:
        if error is None:
            log.info("the relay works again")
        else:
            name, hint = type(error).__name__, _hint(error, self._outbox.table.name)
            log.warning("%s: %s; trying again until it works%s", name, error, hint)


class _Mover(Wakeable):
    """Runs the passes of a relay."""

    name = Relay.name
    failures = (BrokerError, SQLAlchemyError, OSError, StaleError)

    def __init__(self, relay: Relay, poll_s: float, *, clock: Clock, outages: OutageLog) -> None:
        super().__init__(clock=clock, outages=outages)
        self.steps = relay.passes
        self._relay = relay
        self._poll_s = poll_s

    async def step(self) -> float:
        await self._relay.step()
        return self._poll_s

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(PACE_S)
        await super()._sleep(seconds)


def _hint(error: Exception, table: str) -> str:
    """Return advice if the database has no *table*, else an empty text."""
    text = str(error.orig) if isinstance(error, DBAPIError) else ""
    if table in text and any(words in text for words in _NO_TABLE):
        return f": make the table {table} by a migration, or outbox.table.metadata.create_all"
    return ""


def _limit_bytes(found: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first rows of *found*, pairs of row and size, up to `MAX_BYTES` together."""
    chosen: list[int] = []
    total = 0
    for seq, size in found:
        total += size
        if chosen and total > MAX_BYTES:
            break
        chosen.append(seq)
    return chosen
