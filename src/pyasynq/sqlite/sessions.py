"""Call functions with the connection of sqlite3 that is below what users pass as a session.

SQLAlchemy and aiosqlite are not required: there are no objects of a module that nobody has
imported.
"""

import sqlite3
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyasynq.broker.sqlite.user_transactions import Waiters, Written
from pyasynq.core.errors import OptionError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.pool import ConnectionPoolEntry

Write: TypeAlias = Callable[[sqlite3.Connection], Written]

KEY: Final = "pyasynq.sqlite"
"""Key of the `Waiters` in the ``info`` of a pooled connection."""


def imported(module: str, *names: str) -> tuple[type[Any], ...]:
    """Return the classes *names* of *module*; none if it was not imported."""
    found = sys.modules.get(module)
    return tuple(getattr(found, name) for name in names) if found else ()


def runner_of(session: object) -> Callable[[Write], Written]:
    """Return a function that calls another with the connection of a plain *session*.

    Raises:
        TypeError: If *session* is an asynchronous one, or something else.
    """
    own = _in_scope(session)
    if isinstance(own, sqlite3.Connection):
        return lambda write: write(own)
    if isinstance(own, imported("sqlalchemy.orm", "Session")):
        return lambda write: _run(own.connection(), write)
    if isinstance(own, imported("sqlalchemy", "Connection")):
        return partial(_run, own)
    if _is_asynchronous(own):
        msg = "add needs a plain session or connection: with this one use await outbox.enqueue"
        raise TypeError(msg)
    msg = f"add needs a session or connection, whose transaction the task is part of, got {own!r}"
    raise TypeError(msg)


def async_runner_of(session: object) -> Callable[[Write], Awaitable[Written]]:
    """Return a function that calls another with the connection of an asynchronous *session*.

    Raises:
        TypeError: If *session* is a plain one, or something else.
    """
    own = _in_scope(session)
    if not _is_asynchronous(own):
        msg = (
            "enqueue needs an asynchronous session or connection: with a plain one call"
            f" outbox.add, got {own!r}"
        )
        raise TypeError(msg)
    if isinstance(own, imported("aiosqlite", "Connection")):
        return partial(_run_in_thread, own)

    async def run(write: Write) -> Written:
        def run_plain(plain: object) -> Written:
            return runner_of(plain)(write)

        written: Written = await own.run_sync(run_plain)
        return written

    return run


def _in_scope(session: Any) -> Any:  # noqa: ANN401 - anything that a user passes
    """Return the session of this thread, request or asyncio task, for which a scope stands."""
    scopes = imported("sqlalchemy.orm", "scoped_session")
    scopes += imported("sqlalchemy.ext.asyncio", "async_scoped_session")
    return session() if isinstance(session, scopes) else session


def _is_asynchronous(own: object) -> bool:
    kinds = imported("sqlalchemy.ext.asyncio", "AsyncSession", "AsyncConnection")
    return isinstance(own, kinds + imported("aiosqlite", "Connection"))


def _run(connection: "Connection", write: Write) -> Written:
    pooled = connection.connection
    driver: Any = pooled.driver_connection
    is_aiosqlite = isinstance(driver, imported("aiosqlite", "Connection"))
    if not is_aiosqlite and not isinstance(driver, sqlite3.Connection):
        raise OptionError("session", driver, "on SQLite, with sqlite3 or aiosqlite as its driver")
    if not connection.in_transaction():
        connection.begin()  # as any statement of SQLAlchemy's own would
    if is_aiosqlite:
        adapted: Any = pooled.dbapi_connection
        written: Written = adapted.run_async(partial(_run_in_thread, write=write))
    else:
        written = write(driver)
    _wake_after_commit(connection, written)
    return written


async def _run_in_thread(connection: Any, write: Write) -> Written:  # noqa: ANN401 - of aiosqlite
    # Public methods run one statement each, and those of other coroutines might come in between.
    written: Written = await connection._execute(write, connection._conn)  # noqa: SLF001
    return written


def _wake_after_commit(connection: "Connection", written: Written) -> None:
    # SQLAlchemy has no event after the commit of a connection. But a session gives its connection
    # back at the end of its outermost transaction, and so does `engine.begin()`.
    from sqlalchemy import event

    event.listen(connection.engine, "checkin", _wake)
    waiters: Waiters = connection.info.setdefault(KEY, Waiters())
    waiters.add(written)


def _wake(_: object, record: "ConnectionPoolEntry") -> None:
    waiters: Waiters | None = record.info.pop(KEY, None)
    if waiters is not None:
        waiters.notify()
