"""A transaction that reads and then writes waits for the lock when it begins, not in between."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError, ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pyasynq import BrokerUnavailableError, Client, OptionError, Task
from pyasynq.sqlite import Outbox, immediate
from tests.sqlite.users import TASK

Read = Callable[[str], list[object]]

ORDERS = "SELECT id FROM orders"
TASKS = "SELECT id FROM pyasynq_task ORDER BY seq"
ORDER = "INSERT INTO orders VALUES (1)"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """Yield an engine whose transactions wait for no lock."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    yield engine
    engine.dispose()


@pytest.fixture
def deferred(engine: Engine) -> Engine:
    """Return an engine whose transactions are those of SQLite, as SQLAlchemy recommends."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "begin", begin)
    return engine


def commit_elsewhere(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        Outbox().add(connection, Task("other"))
        connection.commit()


def lock(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def make_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def test_a_deferred_transaction_that_has_read_cannot_write_after_a_commit_elsewhere(
    deferred: Engine, path: Path
) -> None:
    make_wal(path)
    with Session(deferred) as session:
        session.execute(text(ORDERS)).all()
        commit_elsewhere(path)
        with pytest.raises(BrokerUnavailableError, match=r"has changed since .* BEGIN IMMEDIATE"):
            Outbox().add(session, TASK)


def test_a_transaction_that_a_savepoint_began_cannot_either(engine: Engine, path: Path) -> None:
    make_wal(path)
    with Session(engine) as session, session.begin_nested():
        session.execute(text(ORDERS)).all()
        commit_elsewhere(path)
        with pytest.raises(BrokerUnavailableError, match=r"has changed since .* BEGIN IMMEDIATE"):
            Outbox().add(session, TASK)


def test_what_was_read_before_the_first_write_is_not_part_of_the_transaction(
    engine: Engine, path: Path, read: Read
) -> None:
    make_wal(path)
    with Session(engine) as session:
        session.execute(text(ORDERS)).all()
        commit_elsewhere(path)
        Outbox().add(session, TASK)
        session.commit()
    assert len(read(TASKS)) == 2


def test_after_its_rollback_it_can(deferred: Engine, path: Path, read: Read) -> None:
    make_wal(path)
    with Session(deferred) as session:
        session.execute(text(ORDERS)).all()
        commit_elsewhere(path)
        with pytest.raises(BrokerUnavailableError):
            Outbox().add(session, TASK)
        session.rollback()
        Outbox().add(session, TASK)
        session.commit()
    assert len(read(TASKS)) == 2


def test_an_immediate_transaction_keeps_others_out_until_its_commit(
    engine: Engine, path: Path, read: Read
) -> None:
    with Session(immediate(engine)) as session:
        session.execute(text(ORDERS)).all()
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute(ORDER)
        session.execute(text(ORDER))
        task_id = Outbox().add(session, TASK)
        session.commit()
    assert (read(ORDERS), read(TASKS)) == ([1], [task_id])


def test_an_engine_that_begins_transactions_itself_becomes_immediate(
    deferred: Engine, path: Path
) -> None:
    with Session(immediate(deferred)) as session:
        session.execute(text(ORDERS)).all()
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute(ORDER)


async def test_an_asynchronous_engine_becomes_immediate(path: Path, read: Read) -> None:
    engine = immediate(create_async_engine(f"sqlite+aiosqlite:///{path}"))
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text(ORDERS))
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute(ORDER)
        task_id = await Outbox().enqueue(session, TASK)
    await engine.dispose()
    assert read(TASKS) == [task_id]


def test_a_savepoint_is_part_of_an_immediate_transaction(engine: Engine, read: Read) -> None:
    with Session(immediate(engine)) as session:
        with session.begin_nested():
            session.execute(text(ORDER))
        session.rollback()
    assert read(ORDERS) == []


async def test_workers_and_clients_work_beside_it(path: Path, read: Read) -> None:
    engine = immediate(create_async_engine(f"sqlite+aiosqlite:///{path}"))
    async with Client(f"sqlite:///{path}") as client, AsyncSession(engine) as session:
        for number in range(20):
            await session.execute(text(ORDERS))
            await session.execute(text(f"INSERT INTO orders VALUES ({number})"))
            await Outbox().enqueue(session, TASK)
            await session.commit()
            await client.enqueue(TASK)
    await engine.dispose()
    assert len(read(TASKS)) == 40


def test_a_session_goes_on_after_a_lock_that_was_held_too_long(
    engine: Engine, path: Path, read: Read
) -> None:
    with Session(immediate(engine)) as session:
        with closing(lock(path)):
            with pytest.raises(OperationalError, match="locked"):
                session.execute(text(ORDER))
        session.execute(text(ORDER))
        session.commit()
    assert read(ORDERS) == [1]


def test_a_connection_without_its_transaction_cannot_be_used(engine: Engine, path: Path) -> None:
    with immediate(engine).connect() as connection:
        with closing(lock(path)):
            with pytest.raises(OperationalError, match="locked"):
                connection.execute(text(ORDER))
        with pytest.raises(ResourceClosedError):
            connection.execute(text(ORDER))


def test_an_engine_may_be_made_immediate_twice(engine: Engine, read: Read) -> None:
    with Session(immediate(immediate(engine))) as session:
        session.execute(text(ORDER))
        session.commit()
    assert read(ORDERS) == [1]


@pytest.mark.parametrize(
    "other", [None, "sqlite:///shop.db", create_engine("postgresql+asyncpg:///a")]
)
def test_something_else_than_an_engine_on_sqlite_is_refused(other: object) -> None:
    with pytest.raises(OptionError, match=r"^engine must be an engine of SQLAlchemy on SQLite"):
        immediate(cast("Any", other))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit before 3.12")
def test_an_engine_whose_driver_begins_transactions_becomes_immediate(
    path: Path, read: Read
) -> None:
    engine = create_engine(f"sqlite:///{path}", connect_args={"autocommit": False})
    with Session(immediate(engine)) as session:
        session.execute(text(ORDERS)).all()
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute(ORDER)
        session.execute(text(ORDER))
        task_id = Outbox().add(session, TASK)
        session.commit()
    engine.dispose()
    assert (read(ORDERS), read(TASKS)) == ([1], [task_id])
