"""A pool of processes: they start when needed, are used again, and are replaced when they die."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from multiprocessing import Pipe
from pathlib import Path

import pytest

from pyasynq import NotPicklableError, ProcessDiedError
from pyasynq.runtime import process as process_module
from pyasynq.runtime.process import Process
from pyasynq.runtime.processes import ProcessCall, Processes
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


class Unloadable(Exception):
    """An error that can be pickled, but not unpickled."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)


class NotANumber:
    """A value that can be pickled, but not unpickled."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("x",)


def warn(result: int) -> int:
    """Return *result* after a record with a field that cannot be unpickled, and one that can."""
    extra = {"problem": Unloadable(1, 2), "month": 7}
    logging.getLogger(__name__).warning("look", extra=extra)
    return result


async def test_a_record_that_cannot_be_read_mixes_up_no_answers(
    processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        assert await run(processes, warn, number) == number
    assert [record.getMessage() for record in caplog.records] == ["look"] * 3
    assert vars(caplog.records[0])["month"] == 7
    assert not hasattr(caplog.records[0], "problem")


async def test_a_filter_that_fails_mixes_up_no_answers(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise ValueError(record.name)

    monkeypatch.setattr(logging.getLogger(__name__), "filters", [fail])
    for number in range(3):
        assert await run(processes, warn, number) == number
    assert "Logging error" in capsys.readouterr().err


async def test_a_fault_between_call_and_answer_costs_the_process(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await run(processes, os.getpid)
    with monkeypatch.context() as patch:
        patch.setattr(process_module, "_log", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await run(processes, warn, 1)
    assert await run(processes, os.getpid) != before


async def test_a_result_that_cannot_be_unpickled_fails_with_its_reason(
    processes: Processes,
) -> None:
    with pytest.raises(NotPicklableError, match=r"the result .* ValueError: invalid literal"):
        await run(processes, NotANumber)
    assert await run(processes, abs, -1) == 1


def fork_and(end: Callable[[int], int]) -> int:
    """Return 1 in the process; call *end* in one that it forks."""
    pid = os.fork()
    if pid == 0:
        return end(2)
    os.waitpid(pid, 0)
    return 1


@pytest.mark.parametrize("end", [abs, sys.exit])
async def test_a_forked_process_does_not_answer(
    processes: Processes, end: Callable[[int], int]
) -> None:
    for _ in range(3):
        assert await run(processes, fork_and, end) == 1


def test_one_that_dies_within_an_answer_says_how_it_ended() -> None:
    process = Process()
    process.wait_until_ready()
    ours, theirs = Pipe()
    os.write(theirs.fileno(), (1000).to_bytes(4, "big") + b"a part")
    theirs.close()
    process._connection.close()
    process._connection = ours
    with pytest.raises(ProcessDiedError):
        process._receive()
    process.close()
