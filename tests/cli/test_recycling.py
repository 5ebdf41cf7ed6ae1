"""A worker that has run many tasks, or that uses much memory, ends once its tasks have ended."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import click
import pytest
from redis.asyncio import Redis

from pyasynq import ActiveTask, Client, Server, Task
from pyasynq.cli import recycling
from pyasynq.cli.recycling import Limits, Recycler, read_memory
from tests.server.handlers import Handler
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recycler check often."""
    monkeypatch.setattr(recycling, "CHECK_S", 0.01)


@asynccontextmanager
async def recycling_after(
    server: Server, tasks: int, may_stop: asyncio.Event
) -> AsyncGenerator[asyncio.Task[None]]:
    """Yield the running recycler of *server*, which makes way once *may_stop* is set."""

    async def make_way() -> None:
        await may_stop.wait()

    limits = Limits(tasks=tasks, memory=None)
    job = asyncio.create_task(Recycler(server, limits, make_way).run())
    try:
        yield job
    finally:
        job.cancel()


# -- limits ----------------------------------------------------------------------------------------


def test_each_process_draws_its_own_number_of_tasks() -> None:
    drawn = {Limits.draw(max_tasks=1000, max_memory=None).tasks for _ in range(100)}
    assert len(drawn) > 10
    assert min(drawn) >= 900  # type: ignore[type-var]
    assert max(drawn) <= 1000  # type: ignore[type-var]


def test_the_number_of_tasks_is_never_drawn_below_one() -> None:
    assert Limits.draw(max_tasks=1, max_memory=None).tasks == 1


def test_the_limit_of_tasks_is_reached_with_the_last() -> None:
    limits = Limits(tasks=3, memory=None)
    assert limits.find_excess(2) is None
    assert limits.find_excess(3) == "3 tasks taken (--max-tasks)"
    assert Limits(tasks=1, memory=None).find_excess(1) == "1 task taken (--max-tasks)"


def test_memory_counts_only_after_the_first_task() -> None:
    limits = Limits(tasks=None, memory=1)
    assert limits.find_excess(0) is None
    assert "MiB of memory in use" in str(limits.find_excess(1))


def test_memory_below_the_limit_is_no_excess() -> None:
    assert Limits(tasks=None, memory=read_memory() * 2).find_excess(1) is None


def test_memory_in_use_is_counted() -> None:
    before = read_memory()
    block = b"x" * 100_000_000
    assert read_memory() - before > len(block) / 2


def test_a_limit_that_the_app_alone_exceeds_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--max-memory must be more than the"):
        recycling.check_memory(2**20)


# -- the end of a server ---------------------------------------------------------------------------


async def test_a_server_goes_on_until_another_takes_tasks(client: Client, redis_url: str) -> None:
    may_stop, handler = asyncio.Event(), Handler()
    server = Server(redis_url)
    running = asyncio.create_task(server.run(handler))
    async with recycling_after(server, 1, may_stop):
        await client.enqueue_many([Task("t"), Task("t")])
        await handler.wait_for_tasks(2)
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks(3)
        assert server.state == "active"
        may_stop.set()
        await running


async def test_a_server_ends_after_its_last_task(client: Client, redis_url: str) -> None:
    may_stop, handler = asyncio.Event(), Handler(hold=True)
    may_stop.set()
    server = Server(redis_url, shutdown_timeout=timedelta(0))
    running = asyncio.create_task(server.run(handler))
    async with recycling_after(server, 1, may_stop) as job:
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()
        await wait_until(lambda: server.state == "stopped")
        assert not job.done()
        handler.release()
        await running
    assert handler.cancelled == []


async def test_a_server_does_not_wait_for_a_thread_whose_time_is_over(
    client: Client, redis_url: str
) -> None:
    may_stop, released = asyncio.Event(), threading.Event()
    may_stop.set()

    def hang(_task: ActiveTask) -> None:
        released.wait()

    server = Server(redis_url, shutdown_timeout=timedelta(0))
    running = asyncio.create_task(server.run(hang))
    async with recycling_after(server, 1, may_stop):
        await client.enqueue(Task("t"), timeout=timedelta(seconds=1))
        await wait_until(lambda: server.load.overdue_threads == 1)
        await running
    released.set()


@pytest.fixture
async def client(redis_url: str, r: Redis) -> AsyncGenerator[Client]:
    """Yield a client."""
    async with Client(redis_url) as client:
        yield client
