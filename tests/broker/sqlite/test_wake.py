"""Those who wait for a change are woken by the process that makes it, or find it a little later."""

import asyncio
import os
import resource
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import anyio
import pytest

from pyasynq.broker import open_broker
from pyasynq.broker.sqlite import SqliteBroker, in_memory, wake
from pyasynq.broker.sqlite.wake import wait_for
from pyasynq.core.verdict import DONE
from tests.support.factories import a_pending, enqueue, take
from tests.support.waiting import wait_until

MakeBroker = Callable[[], SqliteBroker]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
def folder(path: Path) -> Path:
    """Return the folder of the sockets."""
    return path.with_name("tasks.db-wake")


@pytest.fixture
async def make_broker(path: Path) -> AsyncIterator[MakeBroker]:
    """Yield a function that makes brokers on one file, as several processes would."""
    async with AsyncExitStack() as stack:

        def make() -> SqliteBroker:
            broker = cast("SqliteBroker", open_broker(f"sqlite:///{path}"))
            stack.push_async_callback(broker.aclose)
            return broker

        yield make


@pytest.fixture
async def waiter(make_broker: MakeBroker) -> SqliteBroker:
    """Return a broker whose tables exist, so that it can be waited on at once."""
    broker = make_broker()
    await broker.ping()
    return broker


@pytest.fixture
def sender(make_broker: MakeBroker) -> SqliteBroker:
    return make_broker()


def sockets(folder: Path) -> list[str]:
    """Return the names of the sockets."""
    return os.listdir(folder) if folder.exists() else []


def delete(folder: Path) -> None:
    for name in sockets(folder):
        (folder / name).unlink()
    folder.rmdir()


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiters be woken only by those who send."""
    monkeypatch.setattr(wake, "LOOK_S", 3600)


async def start_waiting(broker: SqliteBroker, queue: str = "q") -> asyncio.Task[bool]:
    """Return a task that waits for tasks of *queue*; True if it is woken in time."""
    waiting = asyncio.create_task(broker.work.wait(queue))
    await asyncio.sleep(0)
    return waiting


# -- sockets ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_looks")
async def test_a_change_of_another_process_wakes(
    waiter: SqliteBroker, sender: SqliteBroker
) -> None:
    waiting = await start_waiting(waiter)
    await enqueue(sender, a_pending())
    assert await waiting


@pytest.mark.usefixtures("no_looks")
async def test_a_change_of_the_same_broker_wakes(waiter: SqliteBroker) -> None:
    waiting = await start_waiting(waiter)
    await enqueue(waiter, a_pending())
    assert await waiting


@pytest.mark.usefixtures("no_looks")
async def test_a_change_of_another_queue_does_not_wake(
    waiter: SqliteBroker, sender: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.broker.sqlite.work.WAIT_S", 0.1)
    waiting = await start_waiting(waiter)
    await enqueue(sender, a_pending(queue="other"))
    assert not await waiting


@pytest.mark.usefixtures("no_looks")
async def test_many_changes_before_a_process_reads_lose_none(
    waiter: SqliteBroker, sender: SqliteBroker
) -> None:
    waiting = await start_waiting(waiter)
    for number in range(600):  # more than a socket holds, wherever the tests run
        await enqueue(sender, a_pending(queue=f"other {number}"))
    await enqueue(sender, a_pending())
    assert await waiting


@pytest.mark.usefixtures("no_looks")
async def test_changes_of_too_many_queues_for_one_datagram_wake_everybody(
    waiter: SqliteBroker, sender: SqliteBroker
) -> None:
    waiting = await start_waiting(waiter)
    queues = [f"{number}".ljust(1000, "x") for number in range(40)]
    await enqueue(sender, a_pending(), *(a_pending(queue=queue) for queue in queues))
    assert await waiting


@pytest.mark.usefixtures("no_looks")
async def test_a_path_that_is_too_long_for_a_socket_does_no_harm(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    waiter, sender = (cast("SqliteBroker", open_broker(f"sqlite:///{deep}/t.db")) for _ in "ab")
    await waiter.ping()
    waiting = await start_waiting(waiter)
    await enqueue(sender, a_pending())
    assert await waiting
    await waiter.aclose()
    await sender.aclose()


@pytest.mark.usefixtures("no_looks")
async def test_a_datagram_that_is_not_ours_wakes_everybody(
    waiter: SqliteBroker, folder: Path
) -> None:
    waiting = await start_waiting(waiter)
    (name,) = sockets(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"\xc1", str(folder / name))
    assert await waiting


async def test_the_socket_of_a_dead_process_is_removed(
    waiter: SqliteBroker, sender: SqliteBroker, folder: Path
) -> None:
    os.mkdir(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "dead"))
    waiting = await start_waiting(waiter)
    await enqueue(sender, a_pending())
    assert "dead" not in sockets(folder)
    assert await waiting


async def test_a_broker_that_is_closed_leaves_no_socket(waiter: SqliteBroker, folder: Path) -> None:
    waiting = await start_waiting(waiter)
    await enqueue(waiter, a_pending())
    await waiting
    assert len(sockets(folder)) == 1
    await waiter.aclose()
    assert sockets(folder) == []


async def test_a_broker_that_only_sends_has_no_socket_to_receive(
    sender: SqliteBroker, folder: Path
) -> None:
    await enqueue(sender, a_pending())
    assert sockets(folder) == []


# -- looks -----------------------------------------------------------------------------------------


@pytest.fixture
def file_in_the_way(folder: Path) -> None:
    """Let nobody have a socket."""
    folder.write_text("in the way")


@pytest.mark.usefixtures("file_in_the_way")
async def test_a_process_without_a_socket_finds_changes(
    waiter: SqliteBroker, sender: SqliteBroker
) -> None:
    waiting = await start_waiting(waiter)
    await enqueue(sender, a_pending())
    assert await waiting


async def test_a_socket_whose_name_was_deleted_gets_another(
    waiter: SqliteBroker, sender: SqliteBroker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "LOOK_S", 0.01)
    waiting = await start_waiting(waiter)
    delete(folder)
    await wait_until(lambda: sockets(folder))
    await enqueue(sender, a_pending())
    assert await waiting
    assert len(sockets(folder)) == 1


@pytest.fixture
def no_more_files() -> Iterator[None]:
    """Let this process open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 50, hard))
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)


async def test_a_process_that_may_open_no_more_files_still_writes_tasks(
    waiter: SqliteBroker, sender: SqliteBroker, request: pytest.FixtureRequest
) -> None:
    await enqueue(sender, a_pending(queue="other"))  # opens the file
    waiting = await start_waiting(waiter)
    request.getfixturevalue("no_more_files")
    await enqueue(sender, a_pending())
    assert await waiting


async def test_a_process_that_may_open_no_more_files_still_waits(
    waiter: SqliteBroker, request: pytest.FixtureRequest
) -> None:
    await enqueue(waiter, a_pending(queue="other"))
    request.getfixturevalue("no_more_files")
    waiting = await start_waiting(waiter)
    await enqueue(waiter, a_pending())
    assert await waiting


# -- event loops and threads -----------------------------------------------------------------------


def in_a_thread(run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.usefixtures("no_looks")
async def test_loops_of_two_threads_wake_each_other(waiter: SqliteBroker, *, memory: bool) -> None:
    broker = in_memory() if memory else waiter
    woken: list[bool] = []
    is_waiting = threading.Event()

    async def wait_elsewhere() -> None:
        waiting = await start_waiting(broker)
        is_waiting.set()
        woken.append(await waiting)

    thread = in_a_thread(lambda: asyncio.run(wait_elsewhere()))
    await asyncio.to_thread(is_waiting.wait)
    await enqueue(broker, a_pending())
    await asyncio.to_thread(thread.join)
    await broker.aclose()
    assert woken == [True]


def test_a_loop_that_has_ended_without_aclose_leaves_nothing_behind(
    path: Path, folder: Path
) -> None:
    broker = cast("SqliteBroker", open_broker(f"sqlite:///{path}"))

    async def wait_and_take() -> None:
        await broker.ping()
        waiting = await start_waiting(broker)
        await enqueue(broker, a_pending())
        assert await waiting
        (lease,) = await take(broker)
        await broker.work.settle([(lease, DONE)])

    asyncio.run(wait_and_take())
    (first,) = sockets(folder)
    asyncio.run(wait_and_take())
    assert first not in sockets(folder)
    asyncio.run(broker.aclose())
    assert sockets(folder) == []


@pytest.mark.usefixtures("no_looks")
async def test_a_change_after_another_loop_has_ended_wakes(waiter: SqliteBroker) -> None:
    async def wait_in_vain() -> None:
        waiting = await start_waiting(waiter)
        waiting.cancel()
        await asyncio.wait([waiting])

    await asyncio.to_thread(lambda: asyncio.run(wait_in_vain()))
    waiting = await start_waiting(waiter)
    await enqueue(waiter, a_pending())
    assert await waiting


# -- waits that end otherwise ----------------------------------------------------------------------


async def test_a_wait_that_is_cancelled_leaves_no_look_behind(waiter: SqliteBroker) -> None:
    waiting = await start_waiting(waiter)
    waiting.cancel()
    await asyncio.wait([waiting])
    (listener,) = waiter._store.wake._listeners.values()
    assert (listener._waiting, listener._timer) == ({}, None)


async def test_a_wait_in_a_scope_that_is_cancelled_ends(waiter: SqliteBroker) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await waiter.work.wait("q")
    assert scope.cancelled_caught
    await enqueue(waiter, a_pending())
    assert await waiter.work.wait("q")


async def test_a_wait_is_over_after_its_time() -> None:
    assert not await wait_for(asyncio.Event(), 0.001)


async def test_waiters_of_a_broker_that_is_closed_end(
    waiter: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.broker.sqlite.work.WAIT_S", 0.1)
    waiting = await start_waiting(waiter)
    await waiter.aclose()
    assert not await waiting
