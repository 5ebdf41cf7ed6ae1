"""Move the rows of a database that Django knows to their queues."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, ParamSpec, Protocol, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, close_old_connections, connections, transaction
from django.db.models.functions import Length

from pyasynq.client import Client
from pyasynq.integrations.django.models import OutboxTask
from pyasynq.integrations.django.orm_listener import OrmListener, can_listen
from pyasynq.outbox.row_relay import MAX_ROWS, RowRelay, limit_bytes
from pyasynq.outbox.rows import TABLE, Row, row_of
from pyasynq.runtime.actor import cancel_and_wait
from pyasynq.runtime.clock import Clock

if TYPE_CHECKING:
    from django.db.models import QuerySet

P = ParamSpec("P")
T = TypeVar("T")

_NO_TABLE: Final = ("no such table", "does not exist")


class Outbox(Protocol):
    """Calls functions after commits in this process."""

    def waking(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """While the block runs, call *wake* after each commit, in its thread."""
        ...


class OrmRelay(RowRelay["_Batch"]):
    """Moves the rows of an outbox on Django's ORM. Any number of relays may run on one outbox."""

    failures: ClassVar[tuple[type[Exception], ...]] = (Error,)

    def __init__(
        self,
        outbox: Outbox,
        using: str,
        client: Client,
        *,
        own_thread: bool = True,
        poll_interval: timedelta = timedelta(seconds=1),
        clock: Clock | None = None,
    ) -> None:
        """Move the rows of *outbox* in the database *using*, by *client*, yours to close.

        Args:
            outbox: The outbox.
            using: Alias of the database.
            client: Enqueues the tasks.
            own_thread: Use a thread, and so a connection, of this relay's own; if False, those of
                the synchronous code that this runs in.
            poll_interval: Longest time until rows are found without a notification.
            clock: Tells the time; a test may pass its own.

        Raises:
            NotSupportedError: If the client's broker keeps no receipts.
        """
        super().__init__(client, poll_interval=poll_interval, clock=clock)
        self._outbox = outbox
        self._using = using
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pyasynq-relay")
        self._own_thread = own_thread

    @asynccontextmanager
    async def _waking(self, wake: Callable[..., None]) -> AsyncGenerator[None]:
        listening: list[asyncio.Task[None]] = []
        if can_listen(self._using):
            listener = OrmListener(self._using, wake, clock=self._clock)
            listening.append(asyncio.create_task(listener.run()))
        try:
            with self._outbox.waking(wake):
                yield
        finally:
            await cancel_and_wait(listening)

    @asynccontextmanager
    async def _connect(self) -> "AsyncGenerator[_Batch]":
        batch = _Batch(self._using)
        await self._call(batch.begin)
        try:
            yield batch
        finally:
            await self._call(batch.end)

    async def _read(self, connection: "_Batch", failed: Iterable[str]) -> tuple[list[Row], bool]:
        return await self._call(connection.read, list(failed))

    async def _keep(self, connection: "_Batch", row: Row, error: str) -> None:
        await self._call(connection.keep, row, error)

    async def _delete(self, connection: "_Batch", rows: Sequence[Row]) -> None:
        await self._call(connection.delete, rows)

    async def _commit(self, connection: "_Batch") -> None:
        await self._call(connection.commit)

    async def _close_database(self) -> None:
        await self._call(connections.close_all)
        self._thread.shutdown(wait=False)

    def _hint(self, error: Exception) -> str:
        text = str(error)
        if TABLE in text and any(words in text for words in _NO_TABLE):
            return ": make the table by manage.py migrate"
        return ""

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *function* in the thread that has the connection."""
        if self._own_thread:
            own = sync_to_async(function, thread_sensitive=False, executor=self._thread)
            return await own(*args, **kwargs)
        return await sync_to_async(function)(*args, **kwargs)


class _Batch:
    """One batch of rows, in the thread of its connection.

    Where rows can be locked, they are until the transaction ends, and other relays pass them over.
    SQLite locks whole databases, so nothing is locked while the broker is asked: if another relay
    sends the same rows, one of the two learns it from the receipts.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._atomic = transaction.atomic(using=using)
        self._open = False

    def begin(self) -> None:
        close_old_connections()  # one that was lost, for example
        if self._locks:
            self._atomic.__enter__()
            self._open = True

    def read(self, failed: Sequence[str]) -> tuple[list[Row], bool]:
        waiting = self._rows.filter(error=None).exclude(queue__in=failed).order_by("seq")
        if self._locks:
            waiting = waiting.select_for_update(skip_locked=True)
        sizes = waiting.annotate(size=Length("message")).values_list("seq", "size")
        found = [(int(seq), int(size)) for seq, size in sizes[:MAX_ROWS]]
        chosen = limit_bytes(found)
        columns = self._rows.filter(seq__in=chosen).order_by("seq").values()
        rows = [row_of(_named_as_in_the_table(it)) for it in columns]
        return rows, len(found) == MAX_ROWS or len(chosen) < len(found)

    def keep(self, row: Row, error: str) -> None:
        self._rows.filter(seq=row.seq, row_id=row.id).update(error=error)

    def delete(self, rows: Sequence[Row]) -> None:
        seqs, ids = [row.seq for row in rows], [row.id for row in rows]
        self._rows.filter(seq__in=seqs, row_id__in=ids).delete()

    def commit(self) -> None:
        if self._open:
            self._open = False
            self._atomic.__exit__(None, None, None)

    def end(self) -> None:
        """Roll back, unless that is committed."""
        if self._open:
            transaction.set_rollback(True, using=self._using)
            self.commit()
        close_old_connections()

    @property
    def _locks(self) -> bool:
        return bool(connections[self._using].features.has_select_for_update_skip_locked)

    @property
    def _rows(self) -> "QuerySet[OutboxTask]":
        return OutboxTask.objects.using(self._using)


def _named_as_in_the_table(columns: dict[str, Any]) -> dict[str, Any]:
    # PostgreSQL's drivers return bytes as a memoryview or as bytes.
    return {**columns, "id": columns["row_id"], "message": bytes(columns["message"])}
