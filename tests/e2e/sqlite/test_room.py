"""A disk without room: tasks are refused, nothing is half written, and all goes on later."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyasynq.broker.sqlite.store import RESERVE_BYTES
from tests.e2e.sqlite.peers import peer

SIZE = 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk of its own, a little larger than what is kept for verdicts."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = RESERVE_BYTES + 2 * 1024 * 1024
    if subprocess.call(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]):
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.check_call(["umount", folder])


def fill(folder: Path, *, leave: int) -> Path:
    """Write a file that leaves *leave* bytes of the disk."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - leave)
    return filler


async def test_a_file_that_may_not_grow_takes_no_more_tasks(url: str, file: Path) -> None:
    async with peer(url) as writer, peer(url) as other:
        accepted = await writer("enqueue", 4)
        taken = await writer("take", 2)
        await writer("limit_files", file.with_name("tasks.db-wal").stat().st_size + 10 * SIZE)
        *more, error = await writer("enqueue_until_refused", SIZE)
        assert error == f"BrokerFullError: SQLite: {file}: disk I/O error"
        assert await other("size") == len(accepted) + len(more)
        await writer("limit_files", None)
        assert await writer("settle") == ["True", "True"]
        last = await writer("enqueue", 1, SIZE)
        assert [*taken, *await other("work")] == [*accepted, *more, *last]


async def test_a_full_disk_takes_no_more_tasks_but_verdicts(small_disk: Path) -> None:
    file = small_disk / "tasks.db"
    async with peer(f"sqlite:///{file}") as writer:
        *accepted, error = await writer("enqueue_until_refused", SIZE)
        assert error == f"BrokerFullError: SQLite: the disk of {file} has less than 64 MiB left"
        assert await writer("work") == accepted


async def test_a_disk_that_others_have_filled_holds_up_verdicts(small_disk: Path) -> None:
    file = small_disk / "tasks.db"
    async with peer(f"sqlite:///{file}") as writer:
        accepted = await writer("enqueue", 20)
        taken = await writer("take", 10)
        filler = fill(small_disk, leave=0)
        error = f"BrokerFullError: SQLite: {file}: database or disk is full"
        assert set(await writer("settle")) == {error}
        assert await writer("size") == 20
        filler.unlink()
        assert await writer("settle") == ["True"] * 10
        assert [*taken, *await writer("work")] == accepted


async def test_a_file_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    file = small_disk / "tasks.db"
    filler = fill(small_disk, leave=0)
    async with peer(f"sqlite:///{file}") as writer:
        [error] = await writer("enqueue", 1)
        assert error.startswith(f"BrokerFullError: SQLite: the disk of {file}")
        assert (await writer("size")).startswith(f"BrokerFullError: SQLite: {file}: ")
        filler.unlink()
        assert len(await writer("enqueue", 1)) == 1
        assert await writer("size") == 1
