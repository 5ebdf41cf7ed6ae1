"""Workers as processes obey what operators want of them."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pyasynq import Client, Inspector, Task
from tests.cli.processes import command, worker
from tests.support.key_audit import audit_keys
from tests.support.waiting import wait_until

APP = "tests.cli.apps:app"


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty broker."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tasks.db"
        return
    redis = request.getfixturevalue("redis_server")
    with audit_keys(redis):
        yield redis.url


@pytest.fixture
async def inspector(url: str) -> AsyncIterator[Inspector]:
    async with Inspector(url) as inspector:
        yield inspector


async def ids(inspector: Inspector) -> list[str]:
    """Return the ids of the running servers."""
    return [server.id for server in await inspector.servers()]


async def count(inspector: Inspector, expected: int) -> bool:
    """Return whether the number of running servers is as *expected*."""
    return len(await inspector.servers()) == expected


async def test_a_child_that_was_stopped_stays_stopped(url: str, inspector: Inspector) -> None:
    async with worker(APP, "-p", "2", "-u", url) as process:
        await wait_until(lambda: count(inspector, 2))
        first, second = await ids(inspector)
        await inspector.control(first, stop=True)
        await process.wait_for_line(f"operators want worker {first} to end: it is not replaced")
        assert await ids(inspector) == [second]
        await inspector.control("*", stop=True)
        assert await process.wait_for_end() == 6
    assert not any("it is replaced" in line for line in process.lines)


async def test_a_supervisor_whose_last_child_ends_by_a_signal_ends_well(
    url: str, inspector: Inspector
) -> None:
    async with worker(APP, "-p", "2", "-u", url) as process:
        await wait_until(lambda: count(inspector, 2))
        first, _ = await ids(inspector)
        await inspector.control(first, stop=True)
        await process.wait_for_line("it is not replaced")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_a_worker_without_a_supervisor_ends_with_the_same_code(
    url: str, inspector: Inspector
) -> None:
    async with worker(APP, "--deployment", "shop", "-u", url) as process:
        await wait_until(lambda: count(inspector, 1))
        async with command("server", "stop", "shop", "--yes", "-u", url) as stop:
            assert await stop.wait_for_end() == 0
        assert stop.lines[0] == "'shop': 1 running server to end"
        assert await process.wait_for_end() == 6
    async with worker(APP, "--deployment", "shop", "-u", url) as again:
        assert await again.wait_for_end() == 6
        assert any("to undo it: pyasynq server resume shop" in line for line in again.lines)


async def test_quiet_workers_are_replaced_by_quiet_workers(url: str, inspector: Inspector) -> None:
    async with worker(APP, "-p", "1", "--deployment", "shop", "-u", url) as process:
        await wait_until(lambda: count(inspector, 1))
        [first] = await ids(inspector)
        await inspector.control("shop", quiet=True)
        await process.wait_for_line("taking no more tasks: operators want it")
        process.send(signal.SIGHUP)
        await process.wait_for_line(f"replaces {first}")
        await wait_until(lambda: count(inspector, 1))
        async with Client(url) as client:
            info = await client.enqueue(Task("print"))
        await inspector.control("shop", quiet=False)
        await process.wait_for_line(f"ran {info.id}")


async def test_a_worker_serves_the_queues_that_match_a_pattern(url: str) -> None:
    async with Client(url) as client, worker(APP, "-Q", "tenant-*=2,low", "-u", url) as process:
        await process.wait_for_line("starts")
        info = await client.enqueue(Task("print"), queue="tenant-1")
        await process.wait_for_line(f"ran {info.id}")
