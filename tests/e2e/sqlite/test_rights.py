"""A process may not read or write the file."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.sqlite.peers import Peer, peer

NOBODY = 65534

# ruff: noqa: ASYNC240 - nothing else runs in this loop
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture
def file() -> Iterator[Path]:
    """Yield the path of a file, in a folder that everybody can read."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "tasks.db"


@pytest.fixture
async def root(url: str) -> AsyncIterator[Peer]:
    """Yield a process of root, which has made the file."""
    async with peer(url) as process:
        await process("enqueue", 1)
        yield process


@pytest.fixture
async def nobody(url: str, root: Peer) -> AsyncIterator[Peer]:
    """Yield a process of another user."""
    del root  # it makes the file
    async with peer(url) as process:
        await process("become", NOBODY)
        yield process


async def refusals(process: Peer) -> list[str]:
    """Return the errors of a call that writes and of one that reads, without their text."""
    answers = [*await process("enqueue", 1), await process("size")]
    return [answer.partition(":")[0] for answer in answers]


async def test_the_file_of_another_user_is_refused(nobody: Peer, file: Path) -> None:
    [answer] = await nobody("enqueue", 1)
    assert answer.startswith(f"BrokerAuthError: SQLite: {file}: [Errno 13] Permission denied")
    assert await refusals(nobody) == ["BrokerAuthError"] * 2


async def test_a_file_that_may_only_be_read_is_refused(nobody: Peer, file: Path) -> None:
    file.chmod(0o644)
    assert await refusals(nobody) == ["BrokerAuthError"] * 2


async def test_a_file_in_a_folder_that_may_only_be_read_is_refused(
    nobody: Peer, root: Peer, file: Path
) -> None:
    await root("close")  # no log is left
    os.chown(file, NOBODY, NOBODY)
    assert await refusals(nobody) == ["BrokerAuthError"] * 2


async def test_no_file_is_made_in_a_folder_that_may_only_be_read(nobody: Peer, file: Path) -> None:
    file.unlink()
    assert await refusals(nobody) == ["BrokerAuthError"] * 2
    assert not file.exists()


async def test_a_file_is_used_once_it_is_allowed(nobody: Peer, root: Peer, file: Path) -> None:
    assert await refusals(nobody) == ["BrokerAuthError"] * 2
    await root("close")
    file.parent.chmod(0o777)
    file.chmod(0o666)
    assert await nobody("size") == 1
    assert len(await nobody("work")) == 1


async def test_a_file_that_its_owner_has_made_read_only_is_refused_and_used_again(
    nobody: Peer, root: Peer, file: Path
) -> None:
    await root("close")
    os.chown(file, NOBODY, NOBODY)
    file.parent.chmod(0o777)
    file.chmod(0o400)
    assert await refusals(nobody) == ["BrokerAuthError"] * 2
    file.chmod(0o600)
    await nobody("enqueue", 1)
    assert await nobody("size") == 2


async def test_the_files_can_be_read_only_by_their_owner(root: Peer, file: Path) -> None:
    del root  # it has made them
    modes = {each.name: each.stat().st_mode & 0o777 for each in file.parent.iterdir()}
    assert modes == {"tasks.db": 0o600, "tasks.db-shm": 0o600, "tasks.db-wal": 0o600}
