"""What is at the path of a broker: a file of another kind, of another program, or nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite.files import uri_of
from pyasynq.broker.sqlite.schema import VERSION
from pyasynq.core.errors import BrokerError, BrokerUnavailableError, OptionError
from tests.support.factories import a_pending, enqueue, ids, take

# ruff: noqa: ASYNC240 - nothing else runs in this loop


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that is not there."""
    return tmp_path / "tasks.db"


@pytest.fixture
async def broker(file: Path) -> AsyncIterator[Broker]:
    """Yield a broker that has not opened the file yet."""
    broker = open_broker(f"sqlite:///{file}")
    yield broker
    await broker.aclose()


async def test_a_file_is_made_by_the_first_call(broker: Broker, file: Path) -> None:
    assert not file.exists()
    await enqueue(broker, a_pending())
    assert file.exists()


async def test_an_empty_file_is_used(broker: Broker, file: Path) -> None:
    file.touch()
    await enqueue(broker, a_pending())
    assert ids(await take(broker)) == ["1"]


async def test_a_file_that_is_no_database_is_refused_and_not_changed(
    broker: Broker, file: Path
) -> None:
    text = b"these are the minutes of a meeting\n" * 1000
    file.write_bytes(text)
    with pytest.raises(BrokerError, match=f"{file}: file is not a database"):
        await broker.ping()
    assert file.read_bytes() == text


async def test_a_damaged_header_is_reported(broker: Broker, file: Path) -> None:
    await broker.ping()
    await broker.aclose()
    with file.open("r+b") as content:
        content.write(b"\0" * 100)
    with pytest.raises(BrokerError, match=f"{file}: file is not a database"):
        await broker.ping()


async def test_a_damaged_table_is_reported(broker: Broker, file: Path) -> None:
    await enqueue(broker, *(a_pending(f"{n}", payload=bytes(1000)) for n in range(100)))
    await broker.aclose()
    with file.open("r+b") as content:
        content.seek(4096)
        content.write(b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(BrokerError, match=f"{file}: database disk image is malformed"):
        await broker.ping()


async def test_a_file_that_was_repaired_is_used_again(broker: Broker, file: Path) -> None:
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(BrokerError):
        await broker.ping()
    file.unlink()
    await enqueue(broker, a_pending())


def test_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="it names a folder"):
        open_broker(f"sqlite:///{tmp_path}")


async def test_a_folder_in_the_place_of_the_file_is_reported(broker: Broker, file: Path) -> None:
    file.mkdir()
    with pytest.raises(BrokerUnavailableError, match=f"{file}: unable to open database file"):
        await broker.ping()


async def test_a_folder_that_is_missing_is_reported(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/missing/tasks.db")
    with pytest.raises(BrokerUnavailableError, match="No such file or directory"):
        await broker.ping()


async def test_the_tables_of_another_program_are_left_alone(broker: Broker, file: Path) -> None:
    with closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, name TEXT)")
        theirs.execute("INSERT INTO orders(name) VALUES ('tea')")
        theirs.execute("PRAGMA user_version = 42")
        theirs.execute("PRAGMA application_id = 43")
        theirs.commit()
        await enqueue(broker, a_pending())
        assert theirs.execute("SELECT * FROM orders").fetchall() == [(1, "tea")]
        assert theirs.execute("PRAGMA user_version").fetchone() == (42,)
        assert theirs.execute("PRAGMA application_id").fetchone() == (43,)
        sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'pyasynq_%'"
        assert set(theirs.execute(sql)) == {("orders",), ("sqlite_sequence",)}


async def test_a_file_of_a_later_version_is_refused_and_not_changed(
    broker: Broker, file: Path
) -> None:
    await broker.ping()
    await broker.aclose()
    later = VERSION + 1
    with closing(sqlite3.connect(file, isolation_level=None)) as theirs:
        theirs.execute("UPDATE pyasynq_meta SET value = ? WHERE key = 'schema'", (later,))
        theirs.execute("DROP TABLE pyasynq_task")
    with pytest.raises(BrokerError) as refused:
        await broker.ping()
    assert str(refused.value) == (
        f"{file} was written by a later version of pyasynq (its tables have version {later},"
        f" this one knows {VERSION}): update pyasynq"
    )
    with closing(sqlite3.connect(file)) as theirs:
        sql = "SELECT count(*) FROM sqlite_master WHERE name = 'pyasynq_task'"
        assert theirs.execute(sql).fetchone() == (0,)


async def test_brokers_that_make_the_tables_at_once_make_them_once(file: Path) -> None:
    brokers = [open_broker(f"sqlite:///{file}") for _ in range(10)]

    def enqueue_alone(number: int) -> None:
        asyncio.run(enqueue(brokers[number], a_pending(f"{number}")))

    await asyncio.gather(*(asyncio.to_thread(enqueue_alone, number) for number in range(10)))
    assert sorted(ids(await take(brokers[0], 20))) == [f"{n}" for n in range(10)]
    await asyncio.gather(*(broker.aclose() for broker in brokers))


async def test_two_brokers_of_a_process_share_a_file(broker: Broker, file: Path) -> None:
    other = open_broker(f"sqlite:///{file}")
    await enqueue(broker, a_pending("1"))
    await enqueue(other, a_pending("2"))
    await other.aclose()
    await enqueue(broker, a_pending("3"))
    with closing(sqlite3.connect(file)) as theirs:
        assert theirs.execute("SELECT count(*) FROM pyasynq_task").fetchone() == (3,)


async def test_the_file_that_a_link_leads_to_is_made_for_its_owner_alone(
    tmp_path: Path, file: Path
) -> None:
    (tmp_path / "link.db").symlink_to(file)
    linked = open_broker(f"sqlite:///{tmp_path}/link.db")
    await linked.ping()
    await linked.aclose()
    assert S_IMODE(file.stat().st_mode) == 0o600


def test_a_copy_and_a_checkpoint_make_no_file_where_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "100% of tasks?.db"
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        sqlite3.connect(uri_of(file), uri=True)
    file.touch()
    sqlite3.connect(uri_of(file), uri=True).close()
    assert [*tmp_path.iterdir()] == [file]
