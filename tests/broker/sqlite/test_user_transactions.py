"""A task in a transaction of the user's: all of it is written, or nothing."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyasynq import BrokerError, BrokerFullError, DuplicateTaskError, OptionError
from pyasynq.broker.sqlite.user_transactions import create_within
from tests.support.clocks import NOON
from tests.support.factories import LOCK, a_pending


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file with a table of the user's, and one task."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        create_within(connection, a_pending("first"), NOON)
        connection.commit()
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO orders VALUES (1)")
        yield connection


def counts(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return the number of orders, tasks and locks."""
    tables = ("orders", "pyasynq_task", "pyasynq_lock")
    return tuple(
        count
        for table in tables
        for (count,) in connection.execute(f"SELECT count(*) FROM {table}")
    )


def fail_with(connection: sqlite3.Connection, how: str) -> None:
    """Let the next INSERT of a task fail: ABORT undoes the statement, ROLLBACK everything."""
    connection.execute(
        f"""CREATE TEMP TRIGGER failing BEFORE INSERT ON main.pyasynq_task
        BEGIN SELECT RAISE({how}, 'no more'); END"""
    )


def test_what_was_written_before_a_failure_is_undone(connection: sqlite3.Connection) -> None:
    fail_with(connection, "ABORT")
    with pytest.raises(BrokerError, match=r"^SQLite: .*shop\.db: no more$"):
        create_within(connection, a_pending("2", lock=LOCK), NOON)
    connection.commit()
    assert counts(connection) == (1, 1, 0)


def test_a_failure_that_rolls_back_the_whole_transaction_is_told(
    connection: sqlite3.Connection,
) -> None:
    fail_with(connection, "ROLLBACK")
    with pytest.raises(BrokerError, match="no more"):
        create_within(connection, a_pending("2"), NOON)
    assert not connection.in_transaction
    assert counts(connection) == (0, 1, 0)


def test_a_full_file_is_told(connection: sqlite3.Connection) -> None:
    ((pages,),) = connection.execute("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(BrokerFullError):
        create_within(connection, a_pending("2", payload=bytes(100_000)), NOON)
    connection.commit()
    assert counts(connection)[1:] == (1, 0)


def test_a_lock_lasts_from_the_time_that_is_given(connection: sqlite3.Connection) -> None:
    create_within(connection, a_pending("2", lock=LOCK), NOON)
    with pytest.raises(DuplicateTaskError):
        create_within(connection, a_pending("3", lock=LOCK), NOON)
    assert counts(connection) == (1, 2, 1)


def test_what_waiters_wait_for_is_told(connection: sqlite3.Connection, path: Path) -> None:
    written = create_within(connection, a_pending("2", queue="low"), NOON)
    assert (written.path, [*written.topics]) == (path, ["pending:low"])


def autocommit(value: bool) -> Any:  # noqa: ANN401, FBT001 - type checkers know it from 3.12 on
    return {"autocommit": value}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit before 3.12")
def test_a_connection_that_has_always_begun_a_transaction_is_taken(path: Path) -> None:
    with closing(sqlite3.connect(path, **autocommit(False))) as connection:
        create_within(connection, a_pending("2"), NOON)
        connection.commit()
        assert counts(connection) == (0, 2, 0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit before 3.12")
def test_a_connection_that_never_begins_a_transaction_needs_one(path: Path) -> None:
    with closing(sqlite3.connect(path, **autocommit(True))) as connection:
        with pytest.raises(OptionError, match=r"^session must be in a transaction"):
            create_within(connection, a_pending("2"), NOON)
