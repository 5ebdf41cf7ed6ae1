"""A task is created with the transaction of its data, or not at all."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from pyasynq import (
    BrokerError,
    BrokerUnavailableError,
    CallNext,
    Client,
    DuplicateTaskError,
    Inspector,
    MiddlewareError,
    Mux,
    OptionError,
    Options,
    Server,
    Task,
    TaskIDConflictError,
    TaskInfo,
    TaskState,
)
from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import wake
from pyasynq.core.codec import HEADER
from pyasynq.sqlite import Outbox
from tests.sqlite.users import KINDS, TASK, AsyncSessionUser, PlainUser, SessionUser, User
from tests.support.clocks import NOON, SteeredClock
from tests.support.codecs import Envelope

Read = Callable[[str], list[object]]

ORDERS = "SELECT id FROM orders"
TASKS = "SELECT id FROM pyasynq_task ORDER BY seq"
TABLES = "SELECT name FROM sqlite_master WHERE name LIKE 'pyasynq%'"


# -- the transaction -------------------------------------------------------------------------------


async def test_a_task_is_there_after_the_commit(user: User, read: Read) -> None:
    await user.order(1)
    task_id = await user.add()
    await user.commit()
    assert (read(ORDERS), read(TASKS)) == ([1], [task_id])


async def test_a_task_that_is_alone_in_its_transaction_is_there_after_the_commit(
    user: User, read: Read
) -> None:
    task_id = await user.add()
    await user.commit()
    assert read(TASKS) == [task_id]


async def test_a_task_is_not_there_before_the_commit(user: User, read: Read) -> None:
    await user.add()
    await user.commit()
    await user.add(task_id="uncommitted")
    assert len(read(TASKS)) == 1


async def test_a_rollback_leaves_nothing(user: User, read: Read) -> None:
    await user.order(1)
    await user.add()
    await user.rollback()
    assert (read(ORDERS), read(TABLES)) == ([], [])


async def test_a_savepoint_that_is_undone_takes_its_task_along(user: User, read: Read) -> None:
    await user.order(1)
    first = await user.add()
    await user.run("SAVEPOINT part")
    await user.order(2)
    await user.add()
    await user.run("ROLLBACK TO part")
    third = await user.add()
    await user.commit()
    assert (read(ORDERS), read(TASKS)) == ([1], [first, third])


async def test_a_session_that_is_closed_without_a_commit_leaves_nothing(
    user: User, read: Read
) -> None:
    await user.order(1)
    await user.add()
    await user.aclose()
    await user.open()
    assert (read(ORDERS), read(TABLES)) == ([], [])


async def test_tasks_run_in_the_order_in_which_they_were_added(
    user: User, broker: Broker, read: Read
) -> None:
    added = [await user.add() for _ in range(3)]
    await user.commit()
    added += [await user.add() for _ in range(3)]
    await user.commit()
    (result,) = await broker.work.dequeue({"default": 10}, owner="s/1", lease_s=30)
    assert [lease.id for lease in result.leases] == added


# -- tasks that are refused ------------------------------------------------------------------------


async def test_a_duplicate_is_refused_and_the_transaction_goes_on(user: User, read: Read) -> None:
    await user.order(1)
    first = await user.add(unique=timedelta(hours=1))
    with pytest.raises(DuplicateTaskError):
        await user.add(unique=timedelta(hours=1))
    await user.order(2)
    await user.commit()
    assert (read(ORDERS), read(TASKS)) == ([1, 2], [first])


async def test_an_id_that_exists_is_refused_and_the_transaction_goes_on(
    user: User, read: Read
) -> None:
    await user.add(task_id="mine")
    await user.commit()
    await user.order(1)
    with pytest.raises(TaskIDConflictError):
        await user.add(task_id="mine")
    await user.commit()
    assert (read(ORDERS), read(TASKS)) == ([1], ["mine"])


async def test_a_refused_task_begins_no_transaction(user: User, read: Read, path: Path) -> None:
    await user.add(task_id="mine")
    await user.commit()
    with pytest.raises(TaskIDConflictError):
        await user.add(task_id="mine")
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
    await user.add()
    await user.commit()
    assert len(read(TASKS)) == 2


async def test_a_lock_is_free_again_after_a_rollback(user: User, read: Read) -> None:
    await user.add(unique=timedelta(hours=1))
    await user.rollback()
    second = await user.add(unique=timedelta(hours=1))
    await user.commit()
    assert read(TASKS) == [second]


async def test_a_lock_that_a_client_holds_counts(user: User, path: Path, read: Read) -> None:
    async with Client(f"sqlite:///{path}") as client:
        first = await client.enqueue(TASK, unique=timedelta(hours=1))
    with pytest.raises(DuplicateTaskError):
        await user.add(unique=timedelta(hours=1))
    await user.commit()
    assert read(TASKS) == [first.id]


async def test_a_file_of_a_later_version_is_refused_and_the_transaction_goes_on(
    user: User, broker: Broker, path: Path, read: Read
) -> None:
    await broker.ping()
    with closing(sqlite3.connect(path)) as later:
        later.execute("UPDATE pyasynq_meta SET value = value + 1")
        later.commit()
    await user.order(1)
    with pytest.raises(BrokerError, match=r"shop\.db was written by a later version of pyasynq"):
        await user.add()
    await user.commit()
    assert (read(ORDERS), read(TASKS)) == ([1], [])


@pytest.mark.parametrize(
    ("options", "option"), [({"queue": "{"}, "queue"), ({"max_retry": -1}, "max_retry")]
)
async def test_an_option_that_is_not_allowed_begins_no_transaction(
    user: User, path: Path, options: dict[str, object], option: str
) -> None:
    with pytest.raises(OptionError) as caught:
        await user.add(**options)  # type: ignore[arg-type]
    assert caught.value.option == option
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")


# -- what is created -------------------------------------------------------------------------------


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock(NOON)


@pytest.fixture
def outbox(clock: SteeredClock) -> Outbox:
    return Outbox(clock=clock, max_payload=100)


async def created(user: User, broker: Broker, task_id: str) -> TaskInfo:
    """Commit, and return the task as an inspector sees it."""
    await user.commit()
    return await Inspector(broker).task_info("default", task_id)


async def test_the_task_is_the_one_that_a_client_would_create(user: User, broker: Broker) -> None:
    task = Task("t", b"p", headers={"a": "1"}, max_retry=3)
    task_id = await user.add(task, headers={"b": "2"}, retention=timedelta(hours=1))
    info = await created(user, broker, task_id)
    assert (info.type, info.payload, info.max_retry) == ("t", b"p", 3)
    assert (info.headers, info.retention) == ({"a": "1", "b": "2"}, timedelta(hours=1))
    assert info.state is TaskState.PENDING


async def test_a_delay_counts_from_the_call(
    user: User, broker: Broker, clock: SteeredClock
) -> None:
    task_id = await user.add(process_in=timedelta(seconds=10))
    clock.advance(hours=1)
    info = await created(user, broker, task_id)
    assert (info.state, info.next_process_at) == (
        TaskState.SCHEDULED,
        NOON + timedelta(seconds=10),
    )


async def test_a_task_may_join_a_group(user: User, broker: Broker) -> None:
    info = await created(user, broker, await user.add(group="g"))
    assert (info.state, info.group) == (TaskState.AGGREGATING, "g")


async def test_a_payload_that_is_too_large_is_refused(user: User) -> None:
    with pytest.raises(OptionError, match="payload must be at most 100 bytes"):
        await user.add(Task("t", bytes(101)))


@pytest.fixture
async def plain(path: Path) -> AsyncIterator[PlainUser]:
    user = PlainUser(path, Outbox())
    await user.open()
    yield user
    await user.aclose()


async def test_rows_and_texts_that_a_user_wants_otherwise_do_no_harm(
    plain: PlainUser, read: Read
) -> None:
    plain.session.row_factory = lambda _, row: {"row": row}
    plain.session.text_factory = bytes
    await plain.add(task_id="mine")
    with pytest.raises(TaskIDConflictError):
        await plain.add(task_id="mine")
    await plain.commit()
    found = plain.session.execute(TASKS).fetchall()
    assert (found, read(TASKS)) == ([{"row": (b"mine",)}], ["mine"])


def test_a_database_in_memory_has_tasks_too() -> None:
    outbox = Outbox()
    with closing(sqlite3.connect(":memory:")) as connection:
        task_id = outbox.add(connection, TASK)
        connection.commit()
        outbox.wake()
        assert connection.execute(TASKS).fetchall() == [(task_id,)]


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown option 'codec'; did you mean 'codecs'"):
        Outbox(codec=[])  # type: ignore[call-arg]


# -- middleware and codecs -------------------------------------------------------------------------


async def signing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return await call_next(task, options.merge(headers={"user": "bob"}))


async def waiting(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    await asyncio.sleep(0)
    return await call_next(task, options)


async def refusing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    msg = "not today"
    raise ValueError(msg)


async def test_middleware_is_called(user: User, broker: Broker) -> None:
    user.outbox = Outbox(middleware=[signing])
    info = await created(user, broker, await user.add())
    assert info.headers == {"user": "bob"}


async def test_middleware_that_refuses_a_task_leaves_nothing(user: User, read: Read) -> None:
    user.outbox = Outbox(middleware=[refusing])
    with pytest.raises(ValueError, match="not today"):
        await user.add()
    await user.commit()
    assert read(TABLES) == []


async def test_middleware_may_wait_where_the_session_does(path: Path, broker: Broker) -> None:
    user = AsyncSessionUser(path, Outbox(middleware=[waiting, signing]))
    await user.open()
    info = await created(user, broker, await user.add())
    await user.aclose()
    assert info.headers == {"user": "bob"}


async def test_middleware_that_waits_is_refused_where_it_cannot(plain: PlainUser) -> None:
    plain.outbox = Outbox(middleware=[waiting])
    with pytest.raises(MiddlewareError, match=r"must not wait .*: .*`await outbox.enqueue\("):
        await plain.add()


async def test_a_payload_is_sealed(user: User, broker: Broker) -> None:
    user.outbox = Outbox(codecs=[Envelope()])
    info = await created(user, broker, await user.add(Task("t", b"card 1234")))
    assert b"1234" not in info.payload
    assert info.headers == {HEADER: "envelope"}


# -- workers ---------------------------------------------------------------------------------------


async def test_a_worker_runs_the_task_once_its_order_is_there(
    user: User, path: Path, read: Read
) -> None:
    seen: asyncio.Queue[list[object]] = asyncio.Queue()
    mux = Mux()

    @mux.handle("t")
    async def look(_: Task) -> None:
        seen.put_nowait(read(ORDERS))

    async with Server(f"sqlite:///{path}").running(mux):
        await user.add()
        await user.order(1)
        await user.commit()
        assert await seen.get() == [1]


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiters be woken only by those who send."""
    monkeypatch.setattr(wake, "LOOK_S", 3600)


async def start_waiting(broker: Broker) -> asyncio.Task[bool]:
    """Wait for a task of the default queue."""
    await broker.ping()
    waiting = asyncio.create_task(broker.work.wait("default"))
    await asyncio.sleep(0)
    return waiting


@pytest.mark.usefixtures("no_looks")
@pytest.mark.parametrize("kind", ["Session", "AsyncSession"])
async def test_the_commit_of_a_session_wakes_workers(kind: str, path: Path, broker: Broker) -> None:
    user = KINDS[kind](path, Outbox())
    await user.open()
    waiting = await start_waiting(broker)
    await user.add()
    await user.commit()
    assert await waiting
    await user.aclose()


@pytest.mark.usefixtures("no_looks")
@pytest.mark.parametrize("kind", ["Connection", "AsyncConnection"])
async def test_a_connection_that_goes_back_to_its_pool_wakes_workers(
    kind: str, path: Path, broker: Broker
) -> None:
    user = KINDS[kind](path, Outbox())
    await user.open()
    waiting = await start_waiting(broker)
    await user.add()
    await user.commit()
    await user.aclose()
    assert await waiting


@pytest.mark.usefixtures("no_looks")
async def test_wake_tells_workers_of_a_commit(user: User, broker: Broker) -> None:
    waiting = await start_waiting(broker)
    await user.add()
    await user.commit()
    user.outbox.wake()
    assert await waiting


async def test_a_commit_that_nobody_tells_is_found(plain: PlainUser, broker: Broker) -> None:
    waiting = await start_waiting(broker)
    await plain.add()
    await plain.commit()
    assert await waiting


@pytest.mark.usefixtures("no_looks")
async def test_a_file_that_is_reached_by_a_link_is_told(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    user = SessionUser(path, Outbox())
    await user.open()
    broker = open_broker(f"sqlite:///{link}")
    waiting = await start_waiting(broker)
    await user.add()
    await user.commit()
    assert await waiting
    await user.aclose()
    await broker.aclose()


# -- two writers -----------------------------------------------------------------------------------


async def test_of_two_writers_one_creates_the_unique_task(
    user: User, plain: PlainUser, read: Read
) -> None:
    plain.outbox = user.outbox
    first = await user.add(unique=timedelta(hours=1))
    await user.commit()
    with pytest.raises(DuplicateTaskError):
        await plain.add(unique=timedelta(hours=1))
    assert read(TASKS) == [first]


def write_orders(path: Path, numbers: Iterable[int]) -> None:
    """Write orders with their tasks, each in a transaction of its own."""
    outbox = Outbox()
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        for number in numbers:
            with connection:
                connection.execute("INSERT INTO orders VALUES (?)", (number,))
                outbox.add(connection, TASK, task_id=str(number))


async def test_threads_that_write_at_once_create_each_task(path: Path, read: Read) -> None:
    starts = (1, 101, 201)
    shares = [range(start, start + 100) for start in starts]
    await asyncio.gather(*(asyncio.to_thread(write_orders, path, some) for some in shares))
    assert len(read(ORDERS)) == 300
    assert sorted(map(int, cast("list[str]", read(TASKS)))) == sorted(
        cast("list[int]", read(ORDERS))
    )


# -- locks -----------------------------------------------------------------------------------------


async def test_a_lock_that_another_holds_too_long_is_an_error_of_ours(
    path: Path, read: Read
) -> None:
    outbox = Outbox()
    with closing(sqlite3.connect(path, timeout=0)) as user, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailableError, match=r"shop.db is locked by another"):
            outbox.add(user, TASK)
        other.rollback()
        outbox.add(user, TASK)
        user.commit()
    assert len(read(TASKS)) == 1
