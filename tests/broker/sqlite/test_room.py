"""The file may not grow any more: new tasks are refused, all else goes on."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import store
from pyasynq.broker.sqlite.connection import connect
from pyasynq.broker.sqlite_url import SqliteAddress
from pyasynq.core.errors import BrokerFullError
from pyasynq.core.verdict import DONE, REQUEUE
from tests.support.factories import a_pending, create, enqueue, every_verdict, ids, settle, take
from tests.support.sqlite_queue import SqliteQueue

SIZE = 20_000
"""Bytes of a task, several pages."""


class FullFile:
    """Lets no connection make the file longer than it is, unless it is given room."""

    def __init__(self) -> None:
        self.has_room = True

    def connect(self, address: SqliteAddress, *, sync: bool) -> sqlite3.Connection:
        connection = connect(address, sync=sync)
        if not self.has_room:
            connection.execute("PRAGMA max_page_count = 1")  # SQLite makes it the present number
        return connection

    async def fill(self, broker: Broker, *, has_room: bool = False) -> None:
        """Let the connections that *broker* opens from now on find room or none."""
        self.has_room = has_room
        await broker.aclose()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullFile:
    """Return a disk that has room at first."""
    disk = FullFile()
    monkeypatch.setattr(store, "connect", disk.connect)
    return disk


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """Yield a broker with five tasks."""
    broker = open_broker(f"sqlite:///{tmp_path}/tasks.db")
    await enqueue(broker, *(a_pending(f"{n}") for n in range(5)))
    yield broker
    await broker.aclose()


@pytest.mark.usefixtures("disk")
async def test_a_task_that_has_no_room_is_refused(broker: Broker, disk: FullFile) -> None:
    await disk.fill(broker)
    (answer,) = await create(broker, [a_pending("large", payload=bytes(SIZE))])
    assert isinstance(answer, BrokerFullError)
    assert "tasks.db: database or disk is full" in str(answer)


async def test_nothing_of_a_refused_batch_is_stored(
    broker: Broker, disk: FullFile, tmp_path: Path
) -> None:
    await disk.fill(broker)
    batch = [a_pending("small"), a_pending("large", payload=bytes(SIZE))]
    answers = await create(broker, batch)
    assert [type(answer) for answer in answers] == [BrokerFullError] * 2
    queue = SqliteQueue(tmp_path / "tasks.db", "q")
    assert await queue.pending_ids() == ["0", "1", "2", "3", "4"]
    queue.close()


async def test_tasks_run_and_get_their_verdicts(broker: Broker, disk: FullFile) -> None:
    await disk.fill(broker)
    leases = await take(broker, 5)
    assert await broker.work.settle(every_verdict(leases)) == [True] * 5


async def test_room_that_tasks_have_left_is_used_again(broker: Broker, disk: FullFile) -> None:
    large = a_pending("large", payload=bytes(SIZE))
    await enqueue(broker, large)
    await disk.fill(broker)
    for lease in await take(broker, 6):
        await settle(broker, lease, DONE)
    await enqueue(broker, large)


async def test_tasks_are_accepted_when_there_is_room_again(broker: Broker, disk: FullFile) -> None:
    large = a_pending("large", payload=bytes(SIZE))
    await disk.fill(broker)
    assert await create(broker, [large]) != [None]
    await disk.fill(broker, has_room=True)
    await enqueue(broker, large)
    assert ids(await take(broker, 10)) == ["0", "1", "2", "3", "4", "large"]


async def test_a_task_is_taken_and_put_back_without_a_copy_of_its_message(
    broker: Broker, disk: FullFile
) -> None:
    await enqueue(broker, a_pending("large", payload=bytes(SIZE)))
    await disk.fill(broker)
    leases = await take(broker, 6)
    assert await broker.work.settle([(lease, REQUEUE) for lease in leases]) == [True] * 6
