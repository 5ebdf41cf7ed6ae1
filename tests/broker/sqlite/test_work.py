"""Taking tasks while a transaction waits for others, or cannot be committed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import store
from pyasynq.broker.sqlite.connection import connect
from pyasynq.broker.sqlite_url import SqliteAddress
from tests.support.factories import OWNER, a_pending, enqueue, ids, take

REFUSE_COMMITS = """
CREATE TABLE parent(id INTEGER PRIMARY KEY);
CREATE TABLE child(parent INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER orphan AFTER INSERT ON pyasynq_lease BEGIN INSERT INTO child VALUES (1); END;
"""
"""Every lease leaves a row without its parent, which SQLite notices when it commits."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
async def broker(path: Path) -> AsyncIterator[Broker]:
    """Yield a broker with one task."""
    broker = open_broker(f"sqlite:///{path}")
    await enqueue(broker, a_pending())
    yield broker
    await broker.aclose()


async def test_tasks_are_not_taken_if_the_commit_fails(
    broker: Broker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect_strictly(address: SqliteAddress, *, sync: bool) -> sqlite3.Connection:
        connection = connect(address, sync=sync)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    await broker.aclose()
    with closing(sqlite3.connect(path)) as other:
        other.executescript(REFUSE_COMMITS)
    monkeypatch.setattr(store, "connect", connect_strictly)
    (result,) = await broker.work.dequeue({"q": 1}, owner=OWNER, lease_s=30)
    assert "FOREIGN KEY constraint failed" in str(result.error)
    assert result.leases == []


async def test_a_queue_that_is_paused_while_a_worker_waits_for_the_lock_gives_nothing(
    broker: Broker, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        taking = asyncio.create_task(take(broker))
        await asyncio.sleep(0)  # it has seen a task, and waits
        other.execute("UPDATE pyasynq_queue SET paused_s = 1")
        other.execute("COMMIT")
    assert await taking == []
    await broker.inspection.pause("q", paused=False)
    assert ids(await take(broker)) == ["1"]
