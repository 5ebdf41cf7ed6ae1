"""Handlers may fork: a child takes its own signals, and its worker goes on."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from tests.cli.processes import worker

APP = """
import multiprocessing, os, time, warnings
from pyasynq import App

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
app = App({url!r})
fork = multiprocessing.get_context("fork")

@app.task("pool")
def pool():
    with fork.Pool(1) as workers:
        workers.apply(time.sleep, (0,))
    print("the pool is left", flush=True)  # which terminates its processes, and waits for them

@app.task("terminate")
async def terminate():
    child = fork.Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join()
    print("the child ended with", child.exitcode, flush=True)
"""


@pytest.fixture
async def client(redis_url: str, r: Redis, tmp_path: Path) -> AsyncIterator[Client]:
    """Yield a client, beside an app of handlers that fork in the folder of the test."""
    (tmp_path / "forking.py").write_text(APP.format(url=redis_url))
    async with Client(redis_url) as client:
        yield client


@pytest.mark.parametrize("args", [[], ["-p", "1"]], ids=["alone", "supervised"])
async def test_a_pool_of_processes_is_left_and_the_worker_goes_on(
    args: list[str], client: Client, tmp_path: Path
) -> None:
    async with worker("forking:app", *args, cwd=tmp_path) as process:
        await client.enqueue(Task("pool"))
        await process.wait_for_line("the pool is left")
        await client.enqueue(Task("pool"))
        await process.wait_for_line("the pool is left", times=2)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_a_child_that_is_terminated_at_once_ends_alone(
    client: Client, tmp_path: Path
) -> None:
    async with worker("forking:app", cwd=tmp_path) as process:
        await client.enqueue(Task("terminate"))
        await process.wait_for_line("the child ended with -15")
        await client.enqueue(Task("terminate"))
        await process.wait_for_line("the child ended with -15", times=2)
