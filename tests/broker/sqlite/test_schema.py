"""Tables are made and brought up to date on opening; those of a later version are refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq import BrokerError
from pyasynq.broker import open_broker
from pyasynq.broker.sqlite import schema
from pyasynq.broker.sqlite.schema import migrate, migrate_within, version_of
from tests.support.factories import a_pending, enqueue, take

ADD_COLUMN = "ALTER TABLE pyasynq_task ADD COLUMN colour TEXT"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return all tables and indexes with their SQL."""
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def migrate_to(
    monkeypatch: pytest.MonkeyPatch, connection: sqlite3.Connection, *steps: str
) -> None:
    """Bring the tables to the version after this one, which takes *steps*."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, steps))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    migrate(connection, name="tasks.db")


def test_there_is_a_migration_for_each_version() -> None:
    assert len(schema.MIGRATIONS) == schema.VERSION


def test_an_empty_file_gets_the_tables(connection: sqlite3.Connection) -> None:
    assert version_of(connection) == 0
    migrate(connection, name="tasks.db")
    assert version_of(connection) == schema.VERSION


def test_all_names_have_our_prefix(connection: sqlite3.Connection) -> None:
    migrate(connection, name="tasks.db")
    names = [name for name, _ in objects(connection)]
    assert [name for name in names if not name.startswith(("pyasynq_", "sqlite_"))] == []


def test_a_second_time_nothing_changes(connection: sqlite3.Connection) -> None:
    migrate(connection, name="tasks.db")
    changes = connection.total_changes
    migrate(connection, name="tasks.db")
    assert connection.total_changes == changes


def test_what_is_the_users_stays(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.execute("PRAGMA user_version = 7")
    migrate(connection, name="tasks.db")
    assert ("orders", "CREATE TABLE orders (id INTEGER)") in objects(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (7,)


async def test_tasks_of_an_earlier_version_are_kept(
    path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker(f"sqlite:///{path}")
    await enqueue(broker, a_pending())
    await broker.aclose()
    migrate_to(monkeypatch, connection, ADD_COLUMN)
    assert version_of(connection) == schema.VERSION
    assert connection.execute("SELECT colour FROM pyasynq_task").fetchall() == [(None,)]
    assert [lease.id for lease in await take(broker)] == ["1"]
    await broker.aclose()


async def test_a_file_of_the_first_version_can_control_servers_after_its_migration(
    path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first:
        first.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        first.setattr(schema, "VERSION", 1)
        migrate(connection, name="tasks.db")
    assert version_of(connection) == 1
    broker = open_broker(f"sqlite:///{path}")
    await broker.control.write("*", {"concurrency": "5"}, for_server=False)
    assert [setting.value for setting in await broker.control.read()] == ["5"]
    assert version_of(connection) == schema.VERSION
    await broker.aclose()


def test_a_migration_that_fails_changes_nothing(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(connection, name="tasks.db")
    before = objects(connection)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        migrate_to(monkeypatch, connection, ADD_COLUMN, "INSERT INTO nowhere VALUES (1)")
    assert (objects(connection), version_of(connection)) == (before, schema.VERSION - 1)
    assert not connection.in_transaction


def test_tables_of_a_later_version_are_refused_without_a_lock(
    path: Path, connection: sqlite3.Connection
) -> None:
    migrate(connection, name="tasks.db")
    connection.execute("UPDATE pyasynq_meta SET value = 99")
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerError, match=r"tasks\.db was written by a later .* version 99"):
            migrate(connection, name="tasks.db")


def test_in_an_open_transaction_the_tables_are_part_of_it(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    migrate_within(connection, name="tasks.db")
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert objects(connection) == []
