"""What counts as a session is found, and anything else is refused in one sentence."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import aiosqlite
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pyasynq import OptionError
from pyasynq.sqlite import Outbox
from tests.sqlite.users import KINDS, TASK
from tests.support.postgres import PostgresServer

Read = Callable[[str], list[object]]

TASKS = "SELECT id FROM pyasynq_task ORDER BY seq"

PLAIN = ["sqlite3", "Session", "Connection"]
ASYNCHRONOUS = ["aiosqlite", "AsyncSession", "AsyncConnection"]


@pytest.fixture
async def engine(path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    yield engine
    await engine.dispose()


def test_a_session_that_belongs_to_a_request_is_taken(path: Path, read: Read) -> None:
    outbox, engine = Outbox(), create_engine(f"sqlite:///{path}")
    session = scoped_session(sessionmaker(engine))
    task_id = outbox.add(session, TASK)
    session.commit()
    session.remove()
    engine.dispose()
    assert read(TASKS) == [task_id]


async def test_a_session_that_belongs_to_an_asyncio_task_is_taken(
    engine: AsyncEngine, read: Read
) -> None:
    session = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    task_id = await Outbox().enqueue(session, TASK)
    await session.commit()
    await session.remove()
    assert read(TASKS) == [task_id]


async def test_a_plain_session_over_an_asynchronous_driver_is_taken(
    engine: AsyncEngine, read: Read
) -> None:
    outbox = Outbox()
    async with AsyncSession(engine) as session, session.begin():
        task_id = await session.run_sync(lambda plain: outbox.add(plain, TASK))
    assert read(TASKS) == [task_id]


async def test_a_nested_transaction_that_is_undone_takes_its_task_along(
    engine: AsyncEngine, read: Read
) -> None:
    outbox = Outbox()
    async with AsyncSession(engine) as session, session.begin():
        first = await outbox.enqueue(session, TASK)
        nested = await session.begin_nested()
        await outbox.enqueue(session, TASK)
        await nested.rollback()
    assert read(TASKS) == [first]


@pytest.mark.parametrize("kind", ASYNCHRONOUS)
async def test_an_asynchronous_session_is_for_enqueue(kind: str, path: Path) -> None:
    user = KINDS[kind](path, Outbox())
    await user.open()
    with pytest.raises(TypeError, match=r"^add needs a plain .* use await outbox\.enqueue"):
        user.outbox.add(cast("Any", user).session, TASK)
    await user.aclose()


@pytest.mark.parametrize("kind", PLAIN)
async def test_a_plain_session_is_for_add(kind: str, path: Path) -> None:
    user = KINDS[kind](path, Outbox())
    await user.open()
    with pytest.raises(TypeError, match=r"^enqueue needs an asynchronous .* call outbox\.add, got"):
        await user.outbox.enqueue(cast("Any", user).session, TASK)
    await user.aclose()


@pytest.mark.parametrize("other", [None, "shop.db", create_engine("sqlite://")])
async def test_something_else_than_a_session_is_refused(other: object) -> None:
    with pytest.raises(TypeError, match=r"^add needs a session or connection"):
        Outbox().add(cast("Any", other), TASK)
    with pytest.raises(TypeError, match=r"^enqueue needs an asynchronous session or connection"):
        await Outbox().enqueue(cast("Any", other), TASK)


def test_a_connection_in_autocommit_mode_needs_a_transaction(path: Path, read: Read) -> None:
    outbox = Outbox()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(OptionError, match=r"^session must be in a transaction.* BEGIN IMM"):
            outbox.add(connection, TASK)
        connection.execute("BEGIN IMMEDIATE")
        task_id = outbox.add(connection, TASK)
        connection.execute("COMMIT")
    assert read(TASKS) == [task_id]


def test_an_engine_in_autocommit_mode_is_refused(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with Session(engine) as session, pytest.raises(OptionError, match=r"^session must be in a tr"):
        Outbox().add(session, TASK)
    engine.dispose()


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with PostgresServer() as server:
        yield server.new_database().replace("postgresql://", "postgresql+asyncpg://")


async def test_another_database_is_refused(postgres_url: str) -> None:
    engine = create_async_engine(postgres_url)
    async with AsyncSession(engine) as session:
        with pytest.raises(OptionError, match=r"^session must be on SQLite"):
            await Outbox().enqueue(session, TASK)
    await engine.dispose()


def test_a_closed_connection_is_the_users_error(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        Outbox().add(connection, TASK)


async def test_a_connection_of_another_thread_is_the_users_error(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.ProgrammingError, match="same thread"):
            await asyncio.to_thread(Outbox().add, connection, TASK)


def test_a_connection_serves_in_one_event_loop_after_another(path: Path, read: Read) -> None:
    outbox = Outbox()

    async def enqueue() -> str:
        async with aiosqlite.connect(path) as connection:
            task_id = await outbox.enqueue(connection, TASK)
            await connection.commit()
        return task_id

    ids = [asyncio.run(enqueue()) for _ in range(2)]
    assert read(TASKS) == ids


async def test_a_call_that_is_cancelled_leaves_the_connection_usable(
    path: Path, read: Read
) -> None:
    outbox = Outbox()
    async with aiosqlite.connect(path) as connection:
        call = asyncio.create_task(outbox.enqueue(connection, TASK))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await connection.rollback()
        task_id = await outbox.enqueue(connection, TASK)
        await connection.commit()
    assert read(TASKS) == [task_id]


def test_a_pool_has_one_listener_however_many_tasks_are_added(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    for outbox in (Outbox(), Outbox()):
        with Session(engine) as session, session.begin():
            outbox.add(session, TASK)
            outbox.add(session, TASK)
    assert len([*engine.pool.dispatch.checkin]) == 1
    engine.dispose()


def test_the_statements_of_the_session_and_the_task_are_in_one_transaction(path: Path) -> None:
    outbox, engine = Outbox(), create_engine(f"sqlite:///{path}")
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    with Session(engine) as session, session.begin():
        session.execute(text("INSERT INTO orders VALUES (1)"))
        outbox.add(session, TASK)
        session.execute(text("INSERT INTO orders VALUES (2)"))
    engine.dispose()
    assert len(commits) == 1


ALONE = """
import sqlite3, sys
sys.modules.update(dict.fromkeys(["aiosqlite", "greenlet", "sqlalchemy"]))  # not installed
from pyasynq import Task
from pyasynq.sqlite import Outbox
connection = sqlite3.connect(sys.argv[1])
print(Outbox().add(connection, Task("t")), end="")
connection.commit()
"""


def test_sqlalchemy_and_aiosqlite_are_not_needed(path: Path, read: Read) -> None:
    command = [sys.executable, "-c", ALONE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read(TASKS) == [done.stdout]
