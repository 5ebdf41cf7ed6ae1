"""Run transactions on a SQLite file or on memory, and wake those who wait for what they change.

A transaction is a function that runs without an ``await`` on the thread of the caller, so the
coroutines of a process never wait for each other. It changes a bounded number of rows, so it takes
few milliseconds. If another process writes, the caller sleeps and tries again; SQLite's own waiting
would stop the event loop. Only a query that looks at all tasks of a queue runs in another thread,
on a connection of its own.
"""

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

from pyasynq.broker.sqlite.checkpoints import Checkpoints
from pyasynq.broker.sqlite.connection import (
    breaks_connection,
    check_version,
    connect,
    create_file,
    free_bytes,
    is_busy,
    map_error,
    name_of,
)
from pyasynq.broker.sqlite.files import Identity, identity, log_of, remove_log
from pyasynq.broker.sqlite.schema import empty
from pyasynq.broker.sqlite.wake import Wake
from pyasynq.broker.sqlite_url import SqliteAddress
from pyasynq.core.errors import BrokerError, BrokerFullError, BrokerUnavailableError, PyasynqError
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.forks import hold_on_fork, notify_on_fork

LONGEST_PAUSE_S: Final = 0.0005
"""Longest time between two tries to get the lock; a transaction takes few milliseconds."""

RESERVE_BYTES: Final = 64 * 1024 * 1024
"""Free space of the disk below which no new tasks are accepted: verdicts need space, too."""

SPACE_CHECK_S: Final = 0.05
"""Time between two looks at the free space; large tasks use much of it in a second."""

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Sequence[object]


class Transaction:
    """One transaction, or one look at the tables.

    Attributes:
        now_us: The time, microseconds since 1970.
        changed: Topics of those to wake once it is committed.
    """

    __slots__ = ("_connection", "changed", "execute", "executemany", "now_us")

    def __init__(self, connection: sqlite3.Connection, now_us: int) -> None:
        """Use *connection* at the time *now_us*."""
        self._connection = connection
        self.execute: Callable[..., sqlite3.Cursor] = connection.execute
        self.executemany: Callable[[str, Iterable[Values]], sqlite3.Cursor] = connection.executemany
        self.now_us: int = now_us
        self.changed: set[str] = set()

    @property
    def now_s(self) -> int:
        """The time, whole Unix seconds."""
        return self.now_us // 1_000_000

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Return all rows of a query; none if it asks for a name that is not UTF-8."""
        try:
            return self.execute(sql, values).fetchall()
        except UnicodeEncodeError:
            return []

    def row(self, sql: str, *values: object) -> Row | None:
        """Return the first row of a query; None without rows."""
        return next(iter(self.rows(sql, *values)), None)

    def queue_id(self, name: str) -> int | None:
        """Return the number of the queue *name*; None if it is not known."""
        found = self.row("SELECT id FROM pyasynq_queue WHERE name = ?", name)
        return None if found is None else found[0]

    def register(self, name: str) -> int:
        """Return the number of the queue *name*, which is known from now on."""
        found = self.queue_id(name)
        if found is not None:
            return found
        inserted = self.execute("INSERT INTO pyasynq_queue(name) VALUES (?)", (name,))
        return cast("int", inserted.lastrowid)


def marks(count: int) -> str:
    """Return *count* parameters of a statement, for a list in brackets."""
    return ("?, " * count)[:-2]


class Database:
    """The connections to one file or memory, and those who wait for changes in it."""

    def __init__(self, address: SqliteAddress) -> None:
        """Open *address* with the first transaction.

        Raises:
            OptionError: If Python's SQLite is too old.
        """
        check_version()
        self.address = address
        self.wake: Wake = Wake(address.path, self._data_version)
        self._checkpoints = Checkpoints(address.path)
        self._mutex = threading.Lock()
        self._long_read = threading.Lock()
        self._connections: dict[bool, sqlite3.Connection] = {}
        self._file: Identity | None = None
        self._log: Identity | None = None
        self._space_checked_at = 0.0
        notify_on_fork(self)
        hold_on_fork(self)

    async def run(
        self, begin: str, change: Callable[[Transaction], T], clock: Clock, *, sync: bool
    ) -> T:
        """Return what *change* returns in a transaction that starts with *begin*.

        Raises:
            BrokerError: If it could not be made; then nothing was written.
        """
        give_up_at: float | None = None
        while True:
            try:
                return self._try(begin, change, clock, sync=sync)
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise self._broken(error) from error
                if give_up_at is None:
                    give_up_at = time.monotonic() + self.address.timeout_s
                elif time.monotonic() >= give_up_at:
                    seconds = f"{self.address.timeout_s:g} s"
                    msg = (
                        f"SQLite: another process has locked {name_of(self.address)} for {seconds}"
                    )
                    raise BrokerUnavailableError(msg) from error
            except OSError as error:
                raise map_error(error, self.address) from error
            except UnicodeEncodeError as error:
                msg = f"SQLite: a name or an id is not UTF-8: {error}"
                raise BrokerError(msg) from error
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_S))

    def _try(
        self, begin: str, change: Callable[[Transaction], T], clock: Clock, *, sync: bool
    ) -> T:
        with self._mutex:
            connection = self._connection(sync=sync)
            transaction = Transaction(connection, _now_us(clock))
            connection.execute(begin)
            try:
                result = change(transaction)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if begin != "BEGIN":
                self._checkpoints.after_commit()
        if transaction.changed:
            self.wake.notify(transaction.changed)
        return result

    async def read_long(self, query: Callable[[Transaction], T], clock: Clock) -> T:
        """Return what *query* finds; it may take long, so it reads a file in a thread.

        Raises:
            BrokerError: If SQLite refuses.
        """
        if self.address.path is None:
            return await self.run("BEGIN", query, clock, sync=False)
        sync = self.address.sync_work
        await self.run("BEGIN", lambda _tx: None, clock, sync=sync)  # opens the file
        try:
            return await asyncio.to_thread(self._read_long, query, clock)
        except (sqlite3.Error, OSError) as error:
            raise map_error(error, self.address) from error

    def _read_long(self, query: Callable[[Transaction], T], clock: Clock) -> T:
        with self._long_read, closing(connect(self.address, sync=False)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {int(self.address.timeout_s * 1000)}")
            connection.execute("BEGIN")
            return query(Transaction(connection, _now_us(clock)))

    def check_space(self) -> None:
        """Return if the disk has room for new tasks.

        Raises:
            BrokerFullError: If it has not.
        """
        path, now = self.address.path, time.monotonic()
        if path is None or now - self._space_checked_at < SPACE_CHECK_S:
            return
        try:
            free = free_bytes(path)
        except OSError as error:
            raise map_error(error, self.address) from error
        if free < RESERVE_BYTES:
            msg = f"SQLite: the disk of {path} has less than {RESERVE_BYTES >> 20} MiB left"
            raise BrokerFullError(msg)
        self._space_checked_at = now

    def close(self) -> None:
        """Close the connections; the next transaction opens them again."""
        self.wake.close()
        self._checkpoints.finish()
        with self._mutex:
            self._close()

    def hold(self) -> None:
        """Close the file until the process has forked.

        SQLite keeps a list of the files that are open in a process. A child inherits the list, but
        not the locks on the files. If it opened one of them anew, SQLite would take no lock, and
        the parent would delete the log under the child when it closes the file.
        """
        self._long_read.acquire()
        self._mutex.acquire()
        self._checkpoints.finish()
        if self.address.path is not None:
            self._close()

    def release(self) -> None:
        """Let transactions open the file again."""
        self._mutex.release()
        self._long_read.release()

    def clear(self) -> None:
        """Delete all that is in the tables, which stay."""
        self.wake.close()
        with self._mutex:
            for connection in self._connections.values():
                empty(connection)

    def after_fork(self) -> None:
        """Forget, in a child, what belongs to the parent: its memory, and its waiters."""
        self._close()
        self.wake = Wake(self.address.path, self._data_version)

    def _connection(self, *, sync: bool) -> sqlite3.Connection:
        path = self.address.path
        if path is None:
            sync = False
        elif self._connections:
            self._check_file(path)
        elif not path.exists():
            create_file(path, unsafe_filesystem=self.address.unsafe_filesystem)
        found = self._connections.get(sync)
        if found is None:
            found = self._connections[sync] = connect(self.address, sync=sync)
            if path is not None:
                self._file, self._log = identity(path), identity(log_of(path))
        return found

    def _check_file(self, path: Path) -> None:
        """Return if the file is the one that was opened: SQLite would go on with a deleted one."""
        if identity(path) != self._file:
            self._leave(path)
            msg = f"SQLite: {path} was deleted or replaced; the next call opens it again"
            raise BrokerUnavailableError(msg)

    def _leave(self, path: Path) -> None:
        """Close a file that is no longer at *path*, but has all that was committed."""
        connection = next(iter(self._connections.values()))
        with suppress(sqlite3.Error):  # the last process that leaves it succeeds
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._close()
        remove_log(path, self._log)

    def _broken(self, error: sqlite3.Error) -> Exception:
        if breaks_connection(error) and self.address.path is not None:
            with self._mutex:
                self._close()
        return map_error(error, self.address)

    def _close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections = {}

    def _data_version(self) -> int:
        """Return a number that other connections change by their commits; -1 if it is not known."""
        sync = self.address.sync_work
        with self._mutex:
            try:
                # The check of an open file is left to transactions, whose callers get its error.
                connection = self._connections.get(sync) or self._connection(sync=sync)
                return int(connection.execute("PRAGMA data_version").fetchone()[0])
            except (sqlite3.Error, OSError, PyasynqError):  # the next transaction tells why
                return -1


def _now_us(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1_000_000)


class Store:
    """The transactions of one broker: a database, and the clock that tells the time in it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Use *database*; *clock* tells the time of each transaction."""
        self.database = database
        self.clock = clock

    @property
    def wake(self) -> Wake:
        """Those who wait for changes."""
        return self.database.wake

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Return what *query* finds; it must not change anything.

        Raises:
            BrokerError: If SQLite refuses.
        """
        sync = self.database.address.sync_work
        return await self.database.run("BEGIN", query, self.clock, sync=sync)

    async def read_long(self, query: Callable[[Transaction], T]) -> T:
        """Like `read`, for a *query* that looks at all tasks of a queue, which may be millions.

        Raises:
            BrokerError: If SQLite refuses.
        """
        return await self.database.read_long(query, self.clock)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Return what *change* returns; after a power cut it may be undone.

        Raises:
            BrokerError: If it could not be made; then nothing was written.
        """
        sync = self.database.address.sync_work
        return await self.database.run("BEGIN IMMEDIATE", change, self.clock, sync=sync)

    async def accept(self, change: Callable[[Transaction], T]) -> T:
        """Return what *change* returns; with it, all that was written before is on the disk.

        Raises:
            BrokerFullError: If the disk is almost full.
            BrokerError: If it could not be made; then nothing was written.
        """
        self.database.check_space()
        sync = self.database.address.sync_new
        return await self.database.run("BEGIN IMMEDIATE", change, self.clock, sync=sync)
