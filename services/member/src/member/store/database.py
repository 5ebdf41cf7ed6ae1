"""Open the database, bring it up to date, and hand out transactions."""

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
_MIGRATION_LOCK = 0x6D656D626572  # "member": any number that nobody else locks

_LOCK_PATIENCE_MS = 8000
"""Longest wait for SQLite's write lock; SQLite then says so, before the transaction is too long."""

_LOCKS_LATE = "member_locks_late"
"""Name of the execution option."""

_CONNECTIONS = 20
"""Of one program. A relay keeps one, its listener another; what is left waits its turn."""

_OWNER_ONLY = 0o600

_transaction: ContextVar[AsyncSession] = ContextVar("transaction")


class Database:
    """Transactions on one database.

    Attributes:
        engine: What connects to it.
    """

    def __init__(self, engine: AsyncEngine, watch: AsyncEngine) -> None:
        """Use *engine*, and *watch* to look after the database; the caller disposes of both."""
        self.engine = engine
        self._watch = watch.execution_options(**{_LOCKS_LATE: True})
        # SQLite lets one write at a time, and who waits looks again now and then: faster in a row.
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @property
    def looking(self) -> AsyncEngine:
        """The engine for who mostly reads: SQLite's write lock is taken with the first write."""
        return self.engine.execution_options(**{_LOCKS_LATE: True})

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncSession]:
        """Yield a transaction: committed at the end of the block, undone if it raises.

        Raises:
            StoreUnavailableError: If the database cannot answer now, or not within ten seconds.
        """
        async with available(), self._turn, AsyncSession(self.engine) as session, session.begin():
            outer = _transaction.set(session)
            try:
                yield session
            finally:
                _transaction.reset(outer)

    @property
    def transaction(self) -> AsyncSession:
        """The block of `writing` that this is called in.

        Raises:
            LookupError: If it is called in none.
        """
        return _transaction.get()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """Yield a transaction that only reads, so it waits for no writer.

        Raises:
            StoreUnavailableError: As for `writing`.
        """
        async with available(), _reading(self.looking) as session:
            yield session

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[AsyncSession]:
        """Yield the same on a connection kept for it: that all others are busy is no illness."""
        async with _reading(self._watch) as session:
            yield session

    async def ping(self) -> None:
        """Return if the database answers.

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
async def opened(source: str) -> AsyncGenerator[Database]:
    """Yield the database at *source*, its tables up to date.

    Args:
        source: ``sqlite:///member.db`` or ``postgresql://user:password@host/name``.
    """
    with _naming_the_setting():
        _keep_private(url_of(source))
    async with _engine(source, _CONNECTIONS) as engine, _engine(source, 2) as watch:
        with _naming_the_setting():
            await _migrate(engine)
        yield Database(engine, watch)


@contextmanager
def _naming_the_setting() -> Generator[None]:
    """Let an error say what it is about: words such as "connection refused" do not."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        error.add_note("DB_SOURCE cannot be opened")
        raise


@asynccontextmanager
async def _engine(source: str, connections: int) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(
        url_of(source),
        # The text of an error must not quote what members typed.
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        event.listen(engine.sync_engine, "checkout", _refuse_lost)
        event.listen(engine.sync_engine, "handle_error", _strike_details)
    try:
        yield engine
    finally:
        await engine.dispose()


def _keep_private(url: URL) -> None:
    """Let nobody but its owner read an SQLite file, whatever the umask and whoever made it.

    SQLite gives the files beside it, for what is not in it yet, the mode that it has.
    """
    file = url.database
    if url.get_backend_name() != "sqlite" or not file or file.startswith((":", "file:")):
        return
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, _OWNER_ONLY))
    for path in (file, f"{file}-wal", f"{file}-shm"):
        with suppress(FileNotFoundError, PermissionError):  # not there, or not ours
            Path(path).chmod(_OWNER_ONLY)


def url_of(source: str) -> URL:
    """Return *source* with the driver that the service uses, and that driver's words.

    Raises:
        ArgumentError: If *source* is no URL.
        ValueError: If it is that of another kind of database, or has no sensible port.
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
    connection.isolation_level = None  # transactions begin where we say, not at a guess
    cursor = connection.cursor()
    busy_timeout = f"busy_timeout = {_LOCK_PATIENCE_MS}"
    # What is deleted is written over: a file outlives its members.
    for pragma in ("journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON", busy_timeout):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: one taken later can fail instead of wait."""
    late = connection.get_execution_options().get(_LOCKS_LATE, False)
    connection.exec_driver_sql("BEGIN" if late else "BEGIN IMMEDIATE")


def _refuse_lost(connection: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401
    """Let the pool replace a connection that the server closed; to ask the server costs more."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _strike_details(context: ExceptionContext) -> None:
    """Strike out the detail of an error: PostgreSQL quotes in it what the row would hold."""
    error, cause = context.original_exception, context.original_exception.__cause__
    if isinstance(cause, PostgresError):
        vars(cause)["detail"] = None
        error.args = (f"{type(cause)}: {cause}",)
        if context.sqlalchemy_exception:
            context.sqlalchemy_exception.args = error.args


async def _migrate(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Of several programs that start together one migrates, the others wait.
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
    """Return what Alembic's commands take, on an open *connection*."""
    config = _scripts()
    config.attributes["connection"] = connection
    return config


def _scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", "member:store/migrations")
    return config
