"""A file on a network file system is refused, because locks there may not work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import connection
from pyasynq.core.errors import OptionError


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Path]:
    """Yield a file that a broker has made."""
    broker = open_broker(f"sqlite:///{tmp_path}/tasks.db")
    await broker.ping()
    yield tmp_path / "tasks.db"
    await broker.aclose()


@pytest.fixture
def nfs(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file; from now on its file system counts as NFS."""
    number = connection._filesystem_number(file.parent)
    monkeypatch.setitem(connection.NETWORK_FILESYSTEMS, number, "NFS")
    return file


async def ping(url: str) -> None:
    broker: Broker = open_broker(url)
    try:
        await broker.ping()
    finally:
        await broker.aclose()


@pytest.mark.parametrize("name", ["tasks.db", "new.db"])
async def test_a_file_is_refused_whether_it_exists_or_not(nfs: Path, name: str) -> None:
    with pytest.raises(OptionError, match="not on NFS, whose locks do not work"):
        await ping(f"sqlite:///{nfs.parent}/{name}")


@pytest.mark.parametrize("name", ["tasks.db", "new.db"])
async def test_a_setting_accepts_it(nfs: Path, name: str) -> None:
    await ping(f"sqlite:///{nfs.parent}/{name}?unsafe_filesystem=1")
