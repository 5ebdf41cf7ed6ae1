"""Transactions wait for the lock without stopping the event loop, and leave all or nothing."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import cast

import anyio
import pytest

from pyasynq import BrokerFullError, BrokerUnavailableError
from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import SqliteBroker, checkpoints, in_memory, read, store
from tests.support.clocks import SteeredClock
from tests.support.factories import a_pending, create, enqueue, take
from tests.support.waiting import wait_until

MakeBroker = Callable[..., SqliteBroker]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
async def make_broker(path: Path) -> AsyncIterator[MakeBroker]:
    """Yield a function that makes brokers on one file; its keywords are settings of the URL."""
    async with AsyncExitStack() as stack:

        def make(clock: SteeredClock | None = None, **settings: object) -> SqliteBroker:
            query = "&".join(f"{name}={value}" for name, value in settings.items())
            broker = cast("SqliteBroker", open_broker(f"sqlite:///{path}?{query}", clock))
            stack.push_async_callback(broker.aclose)
            return broker

        yield make


@pytest.fixture
async def broker(make_broker: MakeBroker) -> SqliteBroker:
    """Return a broker whose tables exist."""
    broker = make_broker()
    await broker.ping()
    return broker


@pytest.fixture
def other(path: Path, broker: SqliteBroker) -> Iterator[sqlite3.Connection]:
    """Yield a connection of somebody else, who has the write lock."""
    assert broker
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def ids(broker: Broker) -> list[str]:
    """Take all tasks; return their ids."""
    return [lease.id for lease in await take(broker, 1000)]


async def start_creating(broker: Broker, task_id: str = "1") -> asyncio.Task[None]:
    """Return a task that creates one, and that has tried to once."""
    creating = asyncio.create_task(enqueue(broker, a_pending(task_id)))
    await asyncio.sleep(0)
    return creating


# -- the lock --------------------------------------------------------------------------------------


async def test_a_call_waits_until_the_lock_is_free(
    broker: SqliteBroker, other: sqlite3.Connection
) -> None:
    creating = await start_creating(broker)
    assert await broker.inspection.queues() == []
    assert not creating.done()
    other.execute("COMMIT")
    await creating
    assert await ids(broker) == ["1"]


async def test_others_can_read_while_a_call_waits(
    broker: SqliteBroker, other: sqlite3.Connection
) -> None:
    creating = await start_creating(broker)
    assert await broker.inspection.queues() == []
    other.execute("COMMIT")
    await creating


async def test_a_lock_that_is_held_too_long_is_an_error_and_leaves_nothing(
    make_broker: MakeBroker, other: sqlite3.Connection
) -> None:
    broker = make_broker(timeout=0.05)
    (answer,) = await create(broker, [a_pending()])
    other.execute("COMMIT")
    assert isinstance(answer, BrokerUnavailableError)
    assert "has locked" in str(answer)
    assert await ids(broker) == []


async def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing(
    broker: SqliteBroker, other: sqlite3.Connection
) -> None:
    creating = await start_creating(broker)
    creating.cancel()
    await asyncio.wait([creating])
    other.execute("COMMIT")
    await enqueue(broker, a_pending("2"))
    assert await ids(broker) == ["2"]


async def test_a_call_in_a_scope_that_is_cancelled_while_it_waits_leaves_nothing(
    broker: SqliteBroker, other: sqlite3.Connection
) -> None:
    with anyio.move_on_after(0.01) as scope:
        await enqueue(broker, a_pending())
    other.execute("COMMIT")
    assert scope.cancelled_caught
    assert await ids(broker) == []


async def test_a_call_in_a_scope_that_was_cancelled_before_needs_no_wait(
    broker: SqliteBroker,
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await enqueue(broker, a_pending())
    assert await ids(broker) == ["1"]


# -- all or nothing --------------------------------------------------------------------------------


async def test_a_change_that_fails_is_undone(broker: SqliteBroker) -> None:
    def fail(tx: store.Transaction) -> None:
        tx.register("q")
        msg = "too bad"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="too bad"):
        await broker._store.write(fail)
    assert await broker.inspection.queues() == []


async def test_waiters_are_not_woken_by_a_change_that_fails(broker: SqliteBroker) -> None:
    def fail(tx: store.Transaction) -> None:
        tx.changed.add("topic")
        raise LookupError

    with broker._store.wake.listening("topic") as changed:
        with pytest.raises(LookupError):
            await broker._store.write(fail)
        await asyncio.sleep(0)
        assert not changed.is_set()


async def test_no_task_is_accepted_when_the_disk_is_almost_full_but_work_goes_on(
    broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(broker, a_pending("1"))
    monkeypatch.setattr(store, "RESERVE_BYTES", 1 << 80)
    monkeypatch.setattr(store, "SPACE_CHECK_S", -1)
    (answer,) = await create(broker, [a_pending("2")])
    assert isinstance(answer, BrokerFullError)
    assert await ids(broker) == ["1"]


@pytest.fixture
def copies_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each commit be followed by a checkpoint."""
    monkeypatch.setattr(checkpoints, "COMMITS", 1)
    monkeypatch.setattr(checkpoints, "MAX_LOG_BYTES", 0)


@pytest.mark.usefixtures("copies_log")
async def test_a_commit_counts_even_if_no_thread_can_be_started_for_a_checkpoint(
    broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as context:
        context.setattr("threading.Thread.start", refuse)
        await enqueue(broker, a_pending())
    assert await ids(broker) == ["1"]


@pytest.mark.usefixtures("copies_log")
async def test_the_log_of_a_file_that_a_link_leads_to_is_copied(
    path: Path, tmp_path: Path, broker: SqliteBroker
) -> None:
    os.symlink(path, tmp_path / "link.db")
    sent: list[str] = []

    async def copied() -> bool:  # on a busy machine the checkpoint may give up
        sent.append(str(len(sent)))
        linked = cast("SqliteBroker", open_broker(f"sqlite:///{tmp_path}/link.db"))
        await enqueue(linked, a_pending(sent[-1]))
        await linked.aclose()  # waits for the checkpoint; the other broker keeps the log
        return os.stat(f"{path}-wal").st_size == 0

    await wait_until(copied)
    assert await ids(broker) == sent


# -- threads, loops and brokers --------------------------------------------------------------------


def create_in_a_loop(broker: Broker, numbers: range) -> None:
    async def run() -> None:
        await asyncio.gather(*(enqueue(broker, a_pending(str(number))) for number in numbers))

    asyncio.run(run())


@pytest.mark.parametrize("memory", [False, True])
async def test_loops_of_several_threads_may_use_one_broker(
    broker: SqliteBroker, *, memory: bool
) -> None:
    used = in_memory() if memory else broker
    shares = [range(start, start + 100) for start in (0, 100, 200)]
    await asyncio.gather(*(asyncio.to_thread(create_in_a_loop, used, some) for some in shares))
    found = sorted(map(int, await ids(used)))
    await used.aclose()
    assert found == [*range(300)]


async def test_two_brokers_of_one_process_may_use_one_file(make_broker: MakeBroker) -> None:
    one, two = make_broker(), make_broker()
    for number in range(50):
        await asyncio.gather(
            enqueue(one, a_pending(f"a{number}")), enqueue(two, a_pending(f"b{number}"))
        )
    assert len(await ids(one)) == 100


async def test_one_broker_that_is_closed_leaves_the_file_to_the_other(
    make_broker: MakeBroker, path: Path
) -> None:
    one, two = make_broker(), make_broker()
    await enqueue(one, a_pending("1"))
    await enqueue(two, a_pending("2"))
    await one.aclose()
    await enqueue(two, a_pending("3"))
    with closing(sqlite3.connect(path)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM pyasynq_task")
    assert count == 3


async def test_a_broker_that_was_closed_opens_its_file_again(broker: SqliteBroker) -> None:
    await enqueue(broker, a_pending())
    await broker.aclose()
    assert await ids(broker) == ["1"]


def test_a_broker_serves_in_one_event_loop_after_another(path: Path) -> None:
    broker = cast("SqliteBroker", open_broker(f"sqlite:///{path}"))
    asyncio.run(enqueue(broker, a_pending()))
    found = asyncio.run(ids(broker))
    asyncio.run(broker.aclose())
    assert found == ["1"]


# -- memory ----------------------------------------------------------------------------------------


async def test_brokers_in_memory_see_the_same_tasks() -> None:
    one, two = open_broker("sqlite://"), open_broker("sqlite://")
    await enqueue(one, a_pending("shared", queue="of this test"))
    await one.aclose()
    assert [lease.id for lease in await take(two, queue="of this test")] == ["shared"]


async def test_a_private_memory_is_seen_by_no_other_and_gone_once_closed() -> None:
    one, two = in_memory(), in_memory()
    await enqueue(one, a_pending())
    assert await ids(two) == []
    await one.aclose()
    assert await ids(one) == []
    await one.aclose()
    await two.aclose()


# -- clocks ----------------------------------------------------------------------------------------


async def test_a_clock_that_steps_back_changes_no_order(make_broker: MakeBroker) -> None:
    clock = SteeredClock()
    broker = make_broker(clock)
    await enqueue(broker, a_pending("1"), a_pending("2"))
    clock.advance(hours=-1)
    await enqueue(broker, a_pending("3"), a_pending("4"))
    clock.advance(hours=2)
    await enqueue(broker, a_pending("5"))
    assert await ids(broker) == ["1", "2", "3", "4", "5"]


async def test_a_clock_that_steps_back_lengthens_leases_and_ends_none(
    make_broker: MakeBroker,
) -> None:
    clock = SteeredClock()
    broker = make_broker(clock)
    await enqueue(broker, a_pending())
    await take(broker, lease_s=30)
    clock.advance(hours=-1)
    assert (await broker.upkeep.expired("q")).leases == []
    clock.advance(hours=1, seconds=30)
    assert len((await broker.upkeep.expired("q")).leases) == 1


async def test_a_deleted_file_is_reported_to_the_next_call_and_not_only_to_a_look(
    broker: SqliteBroker, path: Path
) -> None:
    path.unlink()  # noqa: ASYNC240 - nothing else runs in this loop
    broker._store.database._data_version()
    with pytest.raises(BrokerUnavailableError, match="was deleted or replaced"):
        await broker.ping()
    await broker.ping()


async def test_the_loop_goes_on_while_the_tasks_of_a_queue_are_counted(
    broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(broker, a_pending("1", queue="q"))
    counts, may_count = read._counts, threading.Event()

    def count_later(tx: store.Transaction, queue: int | None) -> dict[str, int]:
        assert may_count.wait(60)
        return counts(tx, queue)

    monkeypatch.setattr(read, "_counts", count_later)
    counting = asyncio.ensure_future(broker.inspection.queue_info("q"))
    await broker.ping()
    may_count.set()
    assert (await counting).pending == 1


async def test_tasks_cannot_be_counted_in_a_file_that_is_gone(
    broker: SqliteBroker, path: Path
) -> None:
    await anyio.Path(path).unlink()
    with pytest.raises(BrokerUnavailableError, match="was deleted or replaced"):
        await broker.inspection.queue_info("q")
