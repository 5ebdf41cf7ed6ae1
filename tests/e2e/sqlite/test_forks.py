"""A process forks while it has the file open."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.e2e.sqlite.peers import peer


def stored(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT count(*) FROM pyasynq_task").fetchone()[0]


async def test_parent_and_child_use_the_file(url: str, file: Path) -> None:
    async with peer(url) as parent:
        before = await parent("enqueue", 3)
        await parent("fork")
        by_child = await parent("child", "enqueue", 3)
        by_parent = await parent("enqueue", 3)
        done = await parent("child", "work")
    assert sorted(done) == sorted([*before, *by_child, *by_parent])
    assert stored(file) == 0


async def test_what_a_child_enqueues_stays_when_its_parent_has_closed_the_file(
    url: str, file: Path
) -> None:
    async with peer(url) as parent:
        await parent("enqueue", 3)
        await parent("fork")
        await parent("child", "enqueue", 3)
        await parent("close")
        await parent("child", "enqueue", 3)
        assert stored(file) == 9
    assert stored(file) == 9


async def test_what_a_parent_enqueues_stays_when_its_child_has_closed_the_file(
    url: str, file: Path
) -> None:
    async with peer(url) as parent:
        await parent("enqueue", 3)
        await parent("fork")
        await parent("child", "enqueue", 3)
        await parent("child", "close")
        await parent("enqueue", 3)
        assert stored(file) == 9
    assert stored(file) == 9


async def test_a_task_taken_before_a_fork_is_settled_after_it(url: str, file: Path) -> None:
    async with peer(url) as parent:
        await parent("enqueue", 1)
        await parent("take", 1)
        await parent("fork")
        assert await parent("settle") == ["True"]
    assert stored(file) == 0
