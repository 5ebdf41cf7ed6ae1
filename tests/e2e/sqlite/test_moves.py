"""The file is deleted, moved or replaced while processes use it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.sqlite.peers import Peer, peer

# ruff: noqa: ASYNC240 - nothing else runs in this loop


def stored(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [task_id for (task_id,) in connection.execute("SELECT id FROM pyasynq_task")]


@pytest.fixture
def gone(file: Path) -> str:
    """Return the error of the first call after the file was deleted, moved or replaced."""
    return (
        f"BrokerUnavailableError: SQLite: {file} was deleted or replaced;"
        " the next call opens it again"
    )


async def test_a_deleted_file_is_made_again(url: str, file: Path, gone: str) -> None:
    async with peer(url) as one, peer(url) as other:
        await one("enqueue", 3)
        await other("enqueue", 3)
        file.unlink()
        assert await one("enqueue", 1) == [gone]
        ids = await one("enqueue", 1)
        assert await other("enqueue", 1) == [gone]
        ids += await other("enqueue", 1)
    assert stored(file) == ids


async def test_a_file_is_made_again_while_others_do_not_know_that_it_was_deleted(
    url: str, file: Path, gone: str
) -> None:
    async with peer(url) as one, peer(url) as other:
        await other("enqueue", 3)
        file.unlink()
        ids = await one("enqueue", 3)
        assert await other("enqueue", 1) == [gone]
        ids += await one("enqueue", 3)
    assert stored(file) == ids


async def test_a_moved_file_has_all_that_was_accepted(url: str, file: Path, gone: str) -> None:
    moved = file.with_name("moved.db")
    async with peer(url) as one, peer(url) as other:
        old = [*await one("enqueue", 3), *await other("enqueue", 3)]
        file.rename(moved)
        assert await one("enqueue", 1) == [gone]
        new = await one("enqueue", 3)
        assert await other("enqueue", 1) == [gone]
        new += await other("enqueue", 3)
    assert stored(moved) == old
    assert stored(file) == new


async def test_a_file_in_the_place_of_another_keeps_its_own_tasks(
    url: str, file: Path, gone: str
) -> None:
    backup = file.with_name("backup.db")
    async with peer(f"sqlite:///{backup}") as earlier:
        ids = await earlier("enqueue", 3)
        await earlier("close")
    async with peer(url) as one, peer(url) as other:
        await one("enqueue", 300)
        await other("enqueue", 300)
        backup.rename(file)
        assert await one("enqueue", 1) == [gone]
        assert await other("enqueue", 1) == [gone]
        ids += [*await one("enqueue", 3), *await other("enqueue", 3)]
    assert stored(file) == ids


async def test_a_file_is_used_again_when_its_folder_is_back(url: str, file: Path) -> None:
    away = file.parent.with_name("away")
    async with peer(url) as one:
        ids = await one("enqueue", 3)
        file.parent.rename(away)
        await _is_refused(one, "BrokerUnavailableError")
        await _is_refused(one, "BrokerUnavailableError")
        away.rename(file.parent)
        ids += await one("enqueue", 3)
    assert stored(file) == ids


async def _is_refused(some: Peer, error: str) -> None:
    [answer] = await some("enqueue", 1)
    assert answer.startswith(error), answer
