"""A pool of processes: they start when needed, are used again, and are replaced when they die."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from pyasynq import ProcessDiedError
from pyasynq.runtime.processes import Process, ProcessCall, Processes
from tests.support.waiting import wait_until


def call(function: Callable[..., object], *args: object) -> ProcessCall:
    """Return a call of *function*."""
    return ProcessCall(
        module=__name__, call=partial(function, *args), here=partial(function, *args)
    )


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    """Yield a pool of two."""
    processes = Processes(2)
    yield processes
    await processes.close()


async def run(processes: Processes, function: Callable[..., object], *args: object) -> object:
    """Run *function* in a process."""
    return await processes.run(await processes.acquire(), call(function, *args))


def meet(folder: Path, count: int) -> int:
    """Return the process, once *count* of them have come here."""
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.001)
    return os.getpid()


async def test_calls_run_side_by_side_in_as_many_processes_as_there_may_be(
    processes: Processes, tmp_path: Path
) -> None:
    pids = await asyncio.gather(*(run(processes, meet, tmp_path, 2) for _ in range(6)))
    assert len(set(pids)) == 2
    assert os.getpid() not in pids


async def test_an_idle_process_is_used_again(processes: Processes) -> None:
    assert await run(processes, os.getpid) == await run(processes, os.getpid)


async def test_an_idle_process_that_was_killed_is_replaced(processes: Processes) -> None:
    process = await processes.acquire()
    pid = await processes.run(process, call(os.getpid))
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: not process.alive)
    assert await run(processes, os.getpid) != pid


async def test_a_call_that_is_cancelled_kills_its_process_and_makes_room(
    processes: Processes, tmp_path: Path
) -> None:
    jobs = [asyncio.create_task(run(processes, meet, tmp_path, 3)) for _ in range(2)]
    await wait_until(lambda: len(os.listdir(tmp_path)) == 2)
    _ = [job.cancel() for job in jobs]
    await asyncio.wait(jobs)
    assert all(job.cancelled() for job in jobs)
    assert str(await run(processes, os.getpid)) not in os.listdir(tmp_path)


async def test_a_call_may_be_cancelled_while_its_process_starts(processes: Processes) -> None:
    job = asyncio.create_task(run(processes, os.getpid))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await run(processes, os.getpid)


async def test_one_that_dies_fails_its_call_alone(processes: Processes, tmp_path: Path) -> None:
    meeting = asyncio.create_task(run(processes, meet, tmp_path, 2))
    with pytest.raises(ProcessDiedError, match="exit code 7") as caught:
        await run(processes, os._exit, 7)
    assert caught.value.exitcode == 7
    (tmp_path / "second").touch()
    assert await meeting


async def test_closing_ends_idle_and_busy_processes(tmp_path: Path) -> None:
    processes = Processes(2)
    busy = asyncio.create_task(run(processes, meet, tmp_path, 2))
    idle = await processes.acquire()
    await processes.run(idle, call(os.getpid))
    await wait_until(lambda: os.listdir(tmp_path))
    await processes.close()
    assert not idle.alive
    with pytest.raises(ProcessDiedError, match="SIGKILL"):
        await busy


async def test_nothing_starts_before_the_first_call() -> None:
    processes = Processes(2)
    assert processes._threads is None
    await processes.close()


async def test_processes_leave_no_file_open() -> None:
    async def use() -> int:
        processes = Processes(1)
        await run(processes, os.getpid)
        with pytest.raises(ProcessDiedError):
            await run(processes, os._exit, 1)
        await run(processes, os.getpid)
        await processes.close()
        return len(os.listdir("/proc/self/fd"))

    assert await use() == await use()


def test_one_that_does_not_start_says_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    process._process.kill()
    with pytest.raises(ProcessDiedError, match="before it could run a function: see its output"):
        process.wait_until_ready()
    process.close()
