"""A broker with this port copies what it stores into a file that works."""

import resource
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from tests.support.factories import a_pending, enqueue, ids, many_pending, one_of_each, take

pytestmark = pytest.mark.needs("backup")


async def listed(folder: Path) -> list[str]:
    """Return the names of all copies in *folder*, complete or not."""
    return [file.name async for file in anyio.Path(folder).glob("copy.db*")]


async def test_a_copy_has_all_tasks_and_works(broker: Broker, tmp_path: Path) -> None:
    await one_of_each(broker)
    file = tmp_path / "copy.db"
    assert await broker.backup.write(file) == file.stat().st_size
    copy = open_broker(f"sqlite:///{file}")
    try:
        info = await copy.inspection.queue_info("q")
        assert info.size == (await broker.inspection.queue_info("q")).size == 7
        await enqueue(copy, a_pending("new"))
        assert ids(await take(copy, 5)) == ["pending", "new"]
    finally:
        await copy.aclose()


async def test_a_copy_does_not_change_when_its_original_does(
    broker: Broker, tmp_path: Path
) -> None:
    await enqueue(broker, a_pending("1"))
    await broker.backup.write(tmp_path / "copy.db")
    await enqueue(broker, *(a_pending(f"later {n}") for n in range(10)))
    copy = open_broker(f"sqlite:///{tmp_path}/copy.db")
    try:
        assert ids(await take(copy, 5)) == ["1"]
    finally:
        await copy.aclose()


async def test_only_its_owner_may_read_a_copy(broker: Broker, tmp_path: Path) -> None:
    await broker.backup.write(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    assert await listed(tmp_path) == ["copy.db"]


async def test_a_file_that_is_there_is_not_replaced(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(FileExistsError):
        await broker.backup.write(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"


async def test_what_a_killed_copy_has_left_is_replaced(broker: Broker, tmp_path: Path) -> None:
    await enqueue(broker, *many_pending(3))
    (tmp_path / "copy.db.part").write_bytes(bytes(5000))
    assert await broker.backup.write(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db.part").exists()


async def test_a_folder_that_is_missing_is_an_error(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailableError, match="No such file"):
        await broker.backup.write(tmp_path / "nowhere" / "copy.db")


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let this process write no more than 64 KiB to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_copy_for_which_there_is_no_room_leaves_nothing(
    broker: Broker, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await enqueue(broker, *many_pending(1000))
    request.getfixturevalue("small_files")
    with pytest.raises(BrokerError, match=r"copy\.db"):
        await broker.backup.write(tmp_path / "copy.db")
    assert await listed(tmp_path) == []
