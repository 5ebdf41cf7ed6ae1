"""Open the database, migrate its tables, and provide transactions."""

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from asyncpg import PostgresError
from sqlalchemy import URL, Connection, ExceptionContext, event, make_url, text
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from member.store.availability import available

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}
_MIGRATION_LOCK = 0x6D656D626572  # "member": a number that no other program locks

_LOCK_PATIENCE_MS = 8000
"""Longest wait for SQLite's write lock; shorter than the time limit of a transaction."""

_LOCKS_LATE = "member_locks_late"
"""Execution option: SQLite locks at the first write, not at the start of the transaction."""

_CONNECTIONS = 20
"""Connections of one program. A relay holds one, its listener another; calls share the others."""

_OWNER_ONLY = 0o600

_transaction: ContextVar[AsyncSession] = ContextVar("transaction")


class Database:
    """Transactions on one database.

    Attributes:
        engine: The engine for its connections.
        watch: The engine for health checks.
    """

    def __init__(self, engine: AsyncEngine, watch: AsyncEngine) -> None:
        """Use *engine* for calls, and *watch* for health checks; the caller disposes of both."""
        self.engine = engine
        self.watch = watch.execution_options(**{_LOCKS_LATE: True})
        # SQLite allows one writer at a time, and waiting writers poll: a lock here is faster.
        self._write_lock = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @property
    def read_engine(self) -> AsyncEngine:
        """Engine for transactions that mostly read: SQLite locks only at the first write."""
        return self.engine.execution_options(**{_LOCKS_LATE: True})

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncSession]:
        """Yield a transaction: committed at the end of the block, rolled back if it raises.

        Raises:
            StoreUnavailableError: If the database cannot answer now, or not within ten seconds.
        """
        async with (
            available(),
            self._write_lock,
            AsyncSession(self.engine) as session,
            session.begin(),
        ):
            outer = _transaction.set(session)
            try:
                yield session
            finally:
                _transaction.reset(outer)

    @property
    def transaction(self) -> AsyncSession:
        """The transaction of the current `writing` block.

        Raises:
            LookupError: If there is no such block.
        """
        return _transaction.get()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """Yield a transaction for reading; it does not wait for writers.

        Raises:
            StoreUnavailableError: See `writing`.
        """
        async with available(), _reading(self.read_engine) as session:
            yield session

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[AsyncSession]:
        """Like `reading`, on a reserved connection: a busy pool must not fail a health check."""
        async with _reading(self.watch) as session:
            yield session

    async def ping(self) -> None:
        """Check that the database answers.

        Raises:
            SQLAlchemyError, OSError: If it does not.
        """
        async with self.watching() as session:
            await session.execute(text("SELECT 1"))


@asynccontextmanager
async def _reading(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine) as session, session.begin():
        yield session


@asynccontextmanager
async def open_database(source: str) -> AsyncGenerator[Database]:
    """Yield the database at *source*, with its tables up to date.

    Args:
        source: ``sqlite:///member.db`` or ``postgresql://user:password@host/name``.
    """
    with _name_the_setting():
        _keep_private(url_of(source))
    async with _engine(source, _CONNECTIONS) as engine, _engine(source, 2) as watch:
        with _name_the_setting():
            await _migrate(engine)
        yield Database(engine, watch)


@contextmanager
def _name_the_setting() -> Generator[None]:
    """Add the name of the setting to an error such as "connection refused"."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        error.add_note("DB_SOURCE cannot be opened")
        raise


@asynccontextmanager
async def _engine(source: str, connections: int) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(
        url_of(source),
        # Error texts must not quote values that members typed.
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        event.listen(engine.sync_engine, "checkout", _refuse_lost)
        event.listen(engine.sync_engine, "handle_error", _remove_details)
    try:
        yield engine
    finally:
        await engine.dispose()


def _keep_private(url: URL) -> None:
    """Make an SQLite file readable only for its owner, also an existing one, and with any umask.

    SQLite gives its write-ahead log the mode of the file.
    """
    file = url.database
    if url.get_backend_name() != "sqlite" or not file or file.startswith((":", "file:")):
        return
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, _OWNER_ONLY))
    for path in (file, f"{file}-wal", f"{file}-shm"):
        with suppress(FileNotFoundError, PermissionError):  # missing, or owned by another user
            Path(path).chmod(_OWNER_ONLY)


def url_of(source: str) -> URL:
    """Return *source* with the service's driver, and with the options of that driver.

    Raises:
        ArgumentError: If *source* is no URL.
        ValueError: If it names another kind of database, or has an invalid port.
    """
    url = make_url(source)
    driver = _DRIVERS.get(url.drivername, url.drivername)
    if driver not in _DRIVERS.values():
        msg = f"{url.drivername!r} is no database that the service knows"
        raise ValueError(msg)
    url = url.set(drivername=driver)
    if url.drivername.endswith("asyncpg") and "sslmode" in url.query:
        mode = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own
    connection.isolation_level = None  # `_begin_sqlite` begins transactions, not the driver
    cursor = connection.cursor()
    busy_timeout = f"busy_timeout = {_LOCK_PATIENCE_MS}"
    # Overwrite deleted data, because a file outlives its members.
    for pragma in ("journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON", busy_timeout):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start; taking it later can fail instead of waiting."""
    late = connection.get_execution_options().get(_LOCKS_LATE, False)
    connection.exec_driver_sql("BEGIN" if late else "BEGIN IMMEDIATE")


def _refuse_lost(connection: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401
    """Make the pool replace a connection that the server closed; a ping would cost more."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _remove_details(context: ExceptionContext) -> None:
    """Remove the detail of an error, in which PostgreSQL quotes the values of the row."""
    error, cause = context.original_exception, context.original_exception.__cause__
    if isinstance(cause, PostgresError):
        vars(cause)["detail"] = None
        error.args = (f"{type(cause)}: {cause}",)
        if context.sqlalchemy_exception:
            context.sqlalchemy_exception.args = error.args


async def _migrate(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # If several programs start together, one migrates and the others wait.
            lock = text("SELECT pg_advisory_xact_lock(:lock)")
            await connection.execute(lock, {"lock": _MIGRATION_LOCK})
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if MigrationContext.configure(connection).get_current_revision() != _head():
        command.upgrade(migrations_config(connection), "head")


@functools.cache
def _head() -> str | None:
    """Return the newest revision of the tables."""
    return ScriptDirectory.from_config(_scripts()).get_current_head()


def migrations_config(connection: Connection) -> Config:
    """Return the configuration for Alembic's commands, on an open *connection*."""
    config = _scripts()
    config.attributes["connection"] = connection
    return config


def _scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", "member:store/migrations")
    return config
