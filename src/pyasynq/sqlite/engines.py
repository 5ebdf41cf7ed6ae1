"""Let the transactions of SQLAlchemy wait for the write lock of SQLite."""

from typing import TYPE_CHECKING, Any, TypeVar

from pyasynq.core.errors import OptionError
from pyasynq.sqlite.sessions import imported

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

E = TypeVar("E", "Engine", "AsyncEngine")


def immediate(engine: E) -> E:
    """Make all transactions of a SQLAlchemy *engine* ``BEGIN IMMEDIATE``, and return it.

    SQLite's other transactions take the write lock with their first write. If another transaction
    was committed since their first read, SQLite refuses that write at once. Those of this engine
    wait for the lock when they begin, at most for the timeout of their connection, 5 s if not
    given. They exclude each other and the workers, also if they only read: use another engine where
    you only read.

    Raises:
        OptionError: If *engine* is not an engine of SQLAlchemy on SQLite.
    """
    plain: Any = getattr(engine, "sync_engine", engine)
    if not isinstance(plain, imported("sqlalchemy", "Engine")) or plain.dialect.name != "sqlite":
        raise OptionError("engine", engine, "an engine of SQLAlchemy on SQLite")
    from sqlalchemy import event

    event.listen(plain, "begin", _begin_immediate)
    return engine


def _begin_immediate(connection: "Connection") -> None:
    try:
        driver: Any = connection.connection.driver_connection
        if driver.in_transaction:  # sqlite3 with autocommit=False has begun one, which is empty
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except BaseException:
        connection.close()  # SQLAlchemy would go on without a transaction, and commit nothing
        raise
