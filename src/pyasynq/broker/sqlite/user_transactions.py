"""Create tasks in a transaction of the user's, on the user's own connection to the file."""

import sqlite3
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyasynq.broker.ports.creation import NewTask
from pyasynq.broker.sqlite.connection import is_busy, map_error, name_of
from pyasynq.broker.sqlite.creation import create
from pyasynq.broker.sqlite.schema import migrate_within
from pyasynq.broker.sqlite.store import Transaction
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.broker.sqlite.wake import notify_waiters
from pyasynq.broker.sqlite_url import SqliteAddress
from pyasynq.core.compose import Plan
from pyasynq.core.errors import (
    BrokerError,
    BrokerUnavailableError,
    OptionError,
    PyasynqError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a transaction has written.

    Attributes:
        path: Absolute path of the file; None for memory.
        topics: Topics of those who wait for it.
    """

    path: Path | None
    topics: Collection[str]


class Waiters:
    """Those who wait for what transactions have written; threads may share it."""

    def __init__(self) -> None:
        """Know none yet."""
        self._topics: dict[Path, set[str]] = {}

    def add(self, written: Written) -> None:
        """Add those who wait for *written*."""
        if written.path is not None and written.topics:
            self._topics.setdefault(written.path, set()).update(written.topics)

    def notify(self) -> None:
        """Wake them all; what they wait for must be committed."""
        for path, topics in tuple(self._topics.items()):
            notify_waiters(path, tuple(topics))


def create_within(connection: sqlite3.Connection, plan: Plan, now: datetime) -> Written:
    """Create the task of *plan* in the open transaction of *connection*.

    If there is none, one begins, as sqlite3 does it before an INSERT. Whatever is raised, nothing
    is written, and a transaction that was open stays open.

    Raises:
        DuplicateTaskError: If another task holds the unique lock.
        TaskIDConflictError: If the queue holds a task with this id.
        OptionError: If *connection* begins no transactions by itself, and none is open.
        BrokerError: If SQLite refuses, or a later version of pyasynq has changed the tables.
        sqlite3.ProgrammingError: If *connection* is closed, or belongs to another thread.
    """
    with _plain_rows(connection):
        address = SqliteAddress(path=_path_of(connection))
        try:
            with _savepoint(connection):
                migrate_within(connection, name=name_of(address))
                transaction = Transaction(connection, int(now.timestamp() * MICROS))
                (answer,) = create(transaction, [NewTask(plan)])
                if isinstance(answer, PyasynqError):
                    raise answer
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            raise _map_error(error, address) from error
    return Written(path=address.path, topics=transaction.changed)


@contextmanager
def _plain_rows(connection: sqlite3.Connection) -> Generator[None]:
    """While the block runs, rows are tuples, and texts are `str`, whatever the user has set."""
    before = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, str
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = before


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Generator[None]:
    """Undo what the block has written, if it raises."""
    is_open = connection.in_transaction
    if not is_open and _never_begins(connection):
        allowed = "in a transaction, which BEGIN IMMEDIATE starts: this one begins none by itself"
        raise OptionError("session", connection, allowed)
    connection.execute("SAVEPOINT pyasynq" if is_open else "BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if not is_open:
            connection.rollback()
        elif connection.in_transaction:  # after some errors SQLite itself has rolled it back
            connection.execute("ROLLBACK TO pyasynq")
            connection.execute("RELEASE pyasynq")
        raise
    if is_open:
        connection.execute("RELEASE pyasynq")


def _never_begins(connection: sqlite3.Connection) -> bool:
    """Return whether *connection* commits each statement unless the user begins a transaction."""
    return connection.isolation_level is None or getattr(connection, "autocommit", -1) is True


def _path_of(connection: sqlite3.Connection) -> Path | None:
    """Return the path of the file, without symbolic links; None for memory."""
    (first, *_) = connection.execute("PRAGMA database_list").fetchall()
    return Path(first[2]) if first[2] else None


def _map_error(error: sqlite3.Error, address: SqliteAddress) -> BrokerError:
    if not is_busy(error):
        return map_error(error, address)
    begin = "begin it with BEGIN IMMEDIATE (see pyasynq.sqlite.immediate)"
    if error.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT":
        why = f"has changed since this transaction read it: roll it back, and {begin}"
    else:
        why = (
            "is locked by another connection: raise the timeout of yours, or, if its transaction"
            f" has read before, {begin}"
        )
    return BrokerUnavailableError(f"SQLite: {name_of(address)} {why}")
