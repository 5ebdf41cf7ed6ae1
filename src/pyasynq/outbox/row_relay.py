"""Move the rows of an outbox to their queues, each once.

A relay may die at any point: before it has enqueued the task of a row, before it has deleted the
row, or before it has committed the deletion. The call that enqueues a task also stores a receipt in
the broker. From the receipt the next relay knows that it must only delete the row, even if the task
is done by then.

This module knows no database: a subclass reads and deletes the rows.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import ClassVar, Final, Generic, Self, TypeAlias, TypeVar

from pyasynq.broker import Created, NewTask, Receipt
from pyasynq.client import Client
from pyasynq.core.errors import BrokerError, PoisonError
from pyasynq.outbox.rows import Row
from pyasynq.runtime.actor import OutageLog, StepSignal, Wakeable
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.service import Service
from pyasynq.runtime.waiting import wait_for_first

log: Final = get_logger("pyasynq.outbox")

C = TypeVar("C")
"""A connection to the database, in a transaction."""

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


class RowRelay(ABC, Generic[C]):
    """Moves rows to their queues; subclasses know the database.

    Attributes:
        name: Its name in logs.
        failures: Errors of the database, after which the relay tries again.
        passes: Signals the end of each pass; tests await it instead of sleeping.
    """

    name = "relay"
    failures: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, client: Client, *, poll_interval: timedelta, clock: Clock | None) -> None:
        """Enqueue with *client*, which stays the caller's to close.

        Args:
            client: Enqueues the tasks.
            poll_interval: Longest time until rows are found without a notification.
            clock: Tells the time; None for the real one.

        Raises:
            NotSupportedError: If the client's broker keeps no receipts.
        """
        self.passes: StepSignal = StepSignal()
        self._client = client
        self._port = client.broker.creation
        self._receipts = client.broker.receipts
        self._poll_s = poll_interval.total_seconds()
        self._clock = clock or Clock()
        self._outages = OutageLog(report=self._report_outage)
        self._mover = self._new_mover()

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
        self._mover = mover = self._new_mover()

        def wake(*_notification: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and the relay with it
                loop.call_soon_threadsafe(mover.wake)

        async with self._waking(wake):
            await mover.run()

    async def aclose(self) -> None:
        """Close the client and the database; for programs that use both only for this relay."""
        try:
            await self._client.aclose()
        finally:
            await run_to_end(self._close_database)

    async def step(self) -> None:
        """Move all rows that can be moved now.

        Raises:
            BrokerError: If a queue could not be reached; the rows of other queues were moved.
            Exception: One of `failures`, if the database could not be reached.
        """
        failed: dict[str, BrokerError] = {}
        more = True
        while more:
            more, errors = await self._move(failed)
            failed |= errors
        if failed:
            raise next(iter(failed.values()))

    # -- the database ------------------------------------------------------------------------------

    @abstractmethod
    def _waking(self, wake: Callable[..., None]) -> AbstractAsyncContextManager[None]:
        """While the block runs, call *wake*, in any thread, after a commit that wrote rows."""

    @abstractmethod
    def _connect(self) -> AbstractAsyncContextManager[C]:
        """Open a connection for one batch; what was not committed in the block is rolled back."""

    @abstractmethod
    async def _read(self, connection: C, failed: Iterable[str]) -> tuple[list[Row], bool]:
        """Return the next batch, oldest first, locked against other relays; and whether it is full.

        Rows of the queues in *failed* are left out. Rows that are committed later wake the relay
        again.
        """

    @abstractmethod
    async def _keep(self, connection: C, row: Row, error: str) -> None:
        """Keep *row*, which can never be sent, with its *error*."""

    @abstractmethod
    async def _delete(self, connection: C, rows: Sequence[Row]) -> None:
        """Delete *rows*, by number and id, and no others."""

    @abstractmethod
    async def _commit(self, connection: C) -> None:
        """Commit what was kept and deleted."""

    @abstractmethod
    async def _close_database(self) -> None:
        """Close all connections to the database."""

    @abstractmethod
    def _hint(self, error: Exception) -> str:
        """Return advice about *error*, or an empty text."""

    # -- one batch ---------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Wait until a running pass has ended, at most `PATIENCE_S`."""
        await wait_for_first(self._mover.finish(), within_s=PATIENCE_S)

    async def _move(self, failed: Iterable[str]) -> tuple[bool, dict[str, BrokerError]]:
        """Move a batch; return whether there may be more rows, and the errors by queue."""
        read_at = self._clock.monotonic()
        async with self._connect() as connection:
            rows, more = await self._read(connection, failed)
            if not rows:
                return False, {}
            if self._clock.monotonic() - read_at > STALE_S:
                raise StaleError
            outcomes = await self._send(rows)
            deleted = await self._write(connection, outcomes)
            await self._commit(connection)
        await self._shorten(deleted)
        return more, {row.queue: error for row, error in outcomes if isinstance(error, BrokerError)}

    async def _send(self, rows: Sequence[Row]) -> Outcomes:
        """Enqueue the tasks of *rows*; return the outcome of each."""
        valid = [(row, row.plan) for row in rows if not isinstance(row.plan, PoisonError)]
        new = [NewTask(plan, Receipt(row=row.id, ttl_s=RECEIPT_TTL_S)) for row, plan in valid]
        answers = await self._port.create(new)
        poison = [(row, row.plan) for row in rows if isinstance(row.plan, PoisonError)]
        return [*poison, *zip((row for row, _ in valid), answers, strict=True)]

    async def _write(self, connection: C, outcomes: Outcomes) -> list[Row]:
        """Delete the rows of enqueued tasks; keep rows that can never be sent, with their error."""
        deleted: list[Row] = []
        for row, outcome in outcomes:
            match outcome:
                case BrokerError():
                    pass
                case PoisonError():
                    log.error("row %s cannot be enqueued and is kept: %s", row.id, outcome)
                    await self._keep(connection, row, str(outcome))
                case _:
                    log.debug("row %s is relayed: %s", row.id, outcome)
                    deleted.append(row)
        await self._delete(connection, deleted)
        return deleted

    async def _shorten(self, deleted: Sequence[Row]) -> None:
        """Let receipts expire soon: they cost memory, and most are never read."""
        rows = [
            (r.plan.message.queue, r.id) for r in deleted if not isinstance(r.plan, PoisonError)
        ]
        with suppress(BrokerError):  # then they expire later
            await self._receipts.expire(rows, ttl_s=SENT_RECEIPT_TTL_S)

    def _new_mover(self) -> "_Mover":
        return _Mover(self, self._poll_s, clock=self._clock, outages=self._outages)

    def _report_outage(self, error: Exception | None) -> None:
        if error is None:
            log.info("the relay works again")
        else:
            name, hint = type(error).__name__, self._hint(error)
            log.warning("%s: %s; trying again until it works%s", name, error, hint)


class _Mover(Wakeable):
    """Runs the passes of a relay."""

    name = RowRelay.name

    def __init__(
        self, relay: RowRelay[C], poll_s: float, *, clock: Clock, outages: OutageLog
    ) -> None:
        super().__init__(clock=clock, outages=outages)
        self.failures = (BrokerError, StaleError, *relay.failures)
        self.steps = relay.passes
        self._step = relay.step
        self._poll_s = poll_s

    async def step(self) -> float:
        await self._step()
        return self._poll_s

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(PACE_S)
        await super()._sleep(seconds)


def limit_bytes(found: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first rows of *found*, pairs of row and size, up to `MAX_BYTES` together."""
    chosen: list[int] = []
    total = 0
    for seq, size in found:
        total += size
        if chosen and total > MAX_BYTES:
            break
        chosen.append(seq)
    return chosen
