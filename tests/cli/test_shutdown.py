"""A worker ends after a stop signal, whatever its handlers do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from tests.cli.processes import WorkerProcess, worker
from tests.support.waiting import wait_until

APP = """
import asyncio, atexit, os, threading, time
from pyasynq import App

app = App({url!r})
atexit.register(print, "exit hooks ran", flush=True)

def say():
    print("began", os.getpid(), flush=True)

@app.task("swallow")
async def swallow():
    say()
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@app.task("executor")
async def executor():
    say()
    await asyncio.to_thread(time.sleep, 60)

@app.task("thread")
async def thread():
    threading.Thread(target=time.sleep, args=[60]).start()
    say()

@app.task("plain")
def plain():
    say()

@app.task("block")
async def block():
    say()
    time.sleep(60)
"""


@pytest.fixture
async def client(redis_url: str, r: Redis, tmp_path: Path) -> AsyncIterator[Client]:
    """Yield a client, beside an app of bad handlers in the folder of the test."""
    (tmp_path / "bad.py").write_text(APP.format(url=redis_url))
    async with Client(redis_url) as client:
        yield client


async def wait_for_handler(process: WorkerProcess) -> int:
    """Wait for the start of the handler; return the pid of its process."""
    return int((await process.wait_for_line("began")).rpartition(" ")[2])


@pytest.mark.parametrize("type", ["swallow", "executor", "thread"])
async def test_a_worker_ends_although_its_handler_does_not(
    type: str, client: Client, tmp_path: Path
) -> None:
    await client.enqueue(Task(type))
    async with worker("bad:app", "--shutdown-timeout", "0s", cwd=tmp_path) as process:
        await wait_for_handler(process)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_an_orderly_end_runs_exit_hooks(client: Client, tmp_path: Path) -> None:
    await client.enqueue(Task("plain"))
    async with worker("bad:app", "--burst", cwd=tmp_path) as process:
        assert await process.wait_for_end() == 0
    assert "exit hooks ran" in process.lines


async def test_a_second_signal_to_the_supervisor_ends_a_child_whose_loop_is_blocked(
    client: Client, tmp_path: Path
) -> None:
    await client.enqueue(Task("block"))
    async with worker("bad:app", "-p", "1", cwd=tmp_path) as process:
        await wait_for_handler(process)
        process.send(signal.SIGTERM)
        await process.wait_for_line("SIGTERM: stopping the workers")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert "does not end: it is killed" in "\n".join(process.lines)


async def test_a_stop_while_workers_are_replaced_is_no_failure(
    client: Client, tmp_path: Path
) -> None:
    await client.enqueue(Task("swallow"))
    async with worker("bad:app", "-p", "1", cwd=tmp_path) as process:
        await wait_for_handler(process)
        process.send(signal.SIGHUP)
        await process.wait_for_line("SIGHUP: the workers are replaced")
        process.send(signal.SIGTERM)
        await process.wait_for_line("SIGTERM: stopping the workers")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert "is not healthy" not in "\n".join(process.lines)


async def test_a_child_whose_loop_is_blocked_is_killed_when_its_time_is_over(
    client: Client, tmp_path: Path
) -> None:
    await client.enqueue(Task("block"))
    args = ("bad:app", "-p", "1", "--shutdown-timeout", "0s")
    async with worker(*args, cwd=tmp_path) as process:
        await wait_for_handler(process)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert "does not end: it is killed" in "\n".join(process.lines)


@pytest.mark.parametrize("type", ["block", "swallow"])
async def test_children_end_with_a_supervisor_that_is_killed(
    type: str, client: Client, tmp_path: Path
) -> None:
    await client.enqueue(Task(type))
    args = ("bad:app", "-p", "1", "--shutdown-timeout", "0s")
    async with worker(*args, cwd=tmp_path) as process:
        pid = await wait_for_handler(process)
        process.send(signal.SIGKILL)
        assert await process.wait_for_end() == -signal.SIGKILL  # the child has closed the pipe, too
    await wait_until(lambda: not _runs(pid))


async def test_a_child_that_ends_well_without_being_told_to_is_replaced(
    client: Client, tmp_path: Path
) -> None:
    await client.enqueue(Task("plain"))
    async with worker("bad:app", "-p", "1", cwd=tmp_path) as process:
        os.kill(await wait_for_handler(process), signal.SIGTERM)
        await process.wait_for_line("ended with exit code 0; it is replaced")
        await process.wait_for_line("runs bad:app", times=2)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


CALLING = """
import sys, threading
from pyasynq.cli import main
code = main(["worker", "bad:app", "--burst"])
print(code, [it for it in threading.enumerate() if isinstance(it, threading.Timer)])
"""


async def test_a_program_that_has_called_the_command_goes_on(
    client: Client, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLING),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=tmp_path,
    )
    said, _ = await process.communicate()
    assert said.decode().splitlines()[0] == "0 []"
