"""The write-ahead log stays small, and nobody notices how."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import checkpoints
from pyasynq.broker.sqlite.checkpoints import COMMITS, MAX_LOG_BYTES
from tests.support.factories import a_pending, enqueue, take
from tests.support.waiting import wait_until

SIZE = 100_000
PER_CALL = MAX_LOG_BYTES // COMMITS // SIZE + 1
"""Tasks of a call, so that the log is too large after `COMMITS` calls."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a new file."""
    return tmp_path / "tasks.db"


@pytest.fixture
async def broker(file: Path) -> AsyncIterator[Broker]:
    """Yield a broker that waits for a lock as long as a long call takes, and no longer."""
    broker = open_broker(f"sqlite:///{file}?timeout=2")
    await broker.ping()
    yield broker
    await broker.aclose()


@pytest.fixture
def other(file: Path, broker: Broker) -> Iterator[sqlite3.Connection]:
    """Yield the connection of a program that knows nothing of the library."""
    del broker  # it has made the file
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        yield connection


def size(file: Path) -> int:
    return file.stat().st_size


def log_size(file: Path) -> int:
    return size(file.with_name("tasks.db-wal"))


async def fill_log(broker: Broker, name: str) -> None:
    """Write as much as makes the log too large."""
    for call in range(COMMITS + 1):
        tasks = [a_pending(f"{name} {call} {n}", payload=bytes(SIZE)) for n in range(PER_CALL)]
        await enqueue(broker, *tasks)


async def wait_until_small(broker: Broker, file: Path) -> None:
    """Return when the log is small; commits make the broker look at it."""

    async def is_small() -> bool:
        for _ in range(COMMITS):
            await broker.ping()
        return log_size(file) < MAX_LOG_BYTES

    await wait_until(is_small)


async def test_a_log_that_has_grown_is_copied_into_the_file(broker: Broker, file: Path) -> None:
    await fill_log(broker, "first")
    await wait_until_small(broker, file)
    assert size(file) > MAX_LOG_BYTES


async def test_the_log_stays_small_while_others_read(
    broker: Broker, file: Path, other: sqlite3.Connection
) -> None:
    for call in range(10):
        await fill_log(broker, f"{call}")
        other.execute("SELECT count(*) FROM pyasynq_task").fetchone()
        await wait_until_small(broker, file)
    assert other.execute("SELECT count(*) FROM pyasynq_task").fetchone() == (
        10 * (COMMITS + 1) * PER_CALL,
    )


async def test_a_long_transaction_of_a_reader_keeps_nobody_from_writing(
    broker: Broker, file: Path, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM pyasynq_task").fetchone()
    for call in range(10):
        await fill_log(broker, f"{call}")
    assert log_size(file) > 10 * MAX_LOG_BYTES
    assert len(await take(broker, 10)) == 10
    assert other.execute("SELECT count(*) FROM pyasynq_task").fetchone() == (0,)


async def test_the_log_shrinks_once_a_long_transaction_has_ended(
    broker: Broker, file: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "REST_S", 0.1)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM pyasynq_task").fetchone()
    await fill_log(broker, "first")
    await fill_log(broker, "second")
    other.execute("COMMIT")
    await wait_until_small(broker, file)


async def test_a_checkpoint_that_waits_for_a_writer_gives_up_at_the_end(
    file: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WAIT_S", 3600)
    monkeypatch.setattr(checkpoints, "MAX_LOG_BYTES", -1)
    other.execute("BEGIN IMMEDIATE")
    waiting = checkpoints.Checkpoints(file)
    for _ in range(COMMITS):
        waiting.after_commit()
    waiting.finish()
