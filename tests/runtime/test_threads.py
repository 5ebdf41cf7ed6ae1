"""The number of threads changes while they run functions."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from pyasynq.runtime.threads import Threads
from tests.support.waiting import wait_until


class Calls:
    """Calls that block their threads until they are released.

    Attributes:
        began: Number of calls that have begun.
    """

    def __init__(self, threads: Threads) -> None:
        self.began = 0
        self._threads = threads
        self._released = threading.Semaphore(0)
        self._jobs: list[asyncio.Task[None]] = []

    def add(self, count: int) -> None:
        """Make *count* more calls."""
        self._jobs += [asyncio.create_task(self._call()) for _ in range(count)]

    async def end(self, count: int) -> None:
        """Let *count* calls end, and wait for that."""
        before = self.ended
        for _ in range(count):
            self._released.release()
        await wait_until(lambda: self.ended == before + count)

    @property
    def ended(self) -> int:
        """Number of calls that have ended."""
        return sum(job.done() for job in self._jobs)

    async def _call(self) -> None:
        await self._threads.acquire()
        self.began += 1
        await self._threads.call(self._released.acquire)


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads(2, name="test", now=lambda: 0.0, watch=lambda _: None)
    yield threads
    threads.close()


@pytest.fixture
def calls(threads: Threads) -> Calls:
    return Calls(threads)


async def test_waiting_calls_begin_when_there_are_more_threads(
    threads: Threads, calls: Calls
) -> None:
    calls.add(6)
    await wait_until(lambda: calls.began == 2)
    await threads.resize(5)
    await wait_until(lambda: calls.began == 5)
    assert threads.busy
    await calls.end(6)
    assert not threads.busy


async def test_running_calls_go_on_when_there_are_fewer_threads(
    threads: Threads, calls: Calls
) -> None:
    calls.add(3)
    await wait_until(lambda: calls.began == 2)
    await threads.resize(1)
    await calls.end(1)
    assert calls.began == 2
    await calls.end(1)
    await wait_until(lambda: calls.began == 3)
    assert threads.busy
    await calls.end(1)
    assert not threads.busy


async def test_free_threads_are_taken_away_at_once(threads: Threads, calls: Calls) -> None:
    await threads.resize(1)
    calls.add(2)
    await wait_until(lambda: calls.began == 1)
    assert threads.busy
    await calls.end(2)


async def test_a_number_that_falls_and_rises_again_leaves_no_debt(
    threads: Threads, calls: Calls
) -> None:
    calls.add(4)
    await wait_until(lambda: calls.began == 2)
    await threads.resize(1)
    await threads.resize(3)
    await wait_until(lambda: calls.began == 3)
    await threads.resize(1)
    await threads.resize(2)
    await calls.end(1)
    assert calls.began == 3
    await calls.end(1)
    await wait_until(lambda: calls.began == 4)
    await calls.end(2)
