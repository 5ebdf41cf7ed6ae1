"""The service distinguishes a database that cannot answer now from a wrong statement."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from member.errors import StoreUnavailableError
from member.store import availability, database
from member.store.database import Database
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

only_postgresql = pytest.mark.parametrize("db_source", ["postgresql"], indirect=True)
only_sqlite = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)


async def ask(db: Database, *questions: str) -> None:
    async with db.writing() as session:
        [await session.execute(text(question)) for question in questions or ["SELECT 1"]]


def raising(sqlstate: str) -> str:
    """Return a statement that PostgreSQL answers with this state."""
    return f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a short time limit for the database."""
    monkeypatch.setattr(availability, "PATIENCE_S", 0.2)


@only_postgresql
@pytest.mark.parametrize(
    "sqlstate", ["08006", "40001", "40P01", "53100", "57P01", "57P03", "58030"]
)
async def test_a_passing_error_means_not_available(db: Database, sqlstate: str) -> None:
    with pytest.raises(StoreUnavailableError):
        await ask(db, raising(sqlstate))


@only_postgresql
@pytest.mark.parametrize("sqlstate", ["22021", "25006", "42P01", "XX000"])
async def test_a_lasting_error_is_raised_unchanged(db: Database, sqlstate: str) -> None:
    with pytest.raises(DBAPIError):
        await ask(db, raising(sqlstate))


async def test_a_missing_table_is_a_lasting_error(db: Database) -> None:
    with pytest.raises(DBAPIError):
        await ask(db, "SELECT * FROM nowhere")


@only_sqlite
async def test_a_full_disk_is_a_passing_error(db: Database) -> None:
    with pytest.raises(StoreUnavailableError):
        await ask(db, "PRAGMA max_page_count = 1", "CREATE TABLE large AS SELECT zeroblob(1000000)")


@only_postgresql
@pytest.mark.usefixtures("hurried")
async def test_a_statement_that_does_not_end_is_canceled(db: Database) -> None:
    with pytest.raises(StoreUnavailableError):
        await ask(db, "SELECT pg_sleep(60)")
    await ask(db)


@only_postgresql
@pytest.mark.usefixtures("hurried")
async def test_the_wait_for_a_connection_has_a_limit(db: Database) -> None:
    async with AsyncExitStack() as stack:
        [await stack.enter_async_context(db.engine.connect()) for _ in range(20)]
        with pytest.raises(StoreUnavailableError):
            await ask(db)
    await ask(db)


async def test_a_connection_that_the_server_closed_is_replaced(postgres: PostgresServer) -> None:
    source = postgres.new_database()
    async with database.open_database(source) as db, database.open_database(source) as other:
        async with db.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
        await ask(other, f"SELECT pg_terminate_backend({driver.get_server_pid()})")
        await wait_until(driver.is_closed)
        await ask(db)


async def test_a_missing_server_is_a_passing_error() -> None:
    with PostgresServer() as server:
        async with database.open_database(server.new_database()) as db:
            await asyncio.to_thread(server.halt, "fast")
            with pytest.raises(StoreUnavailableError):
                await ask(db)
