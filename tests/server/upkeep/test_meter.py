"""A server measures its process between two heartbeats."""

import asyncio
import resource
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from pyasynq import Inspector, Server
from pyasynq.runtime.memory import STATM, read_memory
from pyasynq.server.upkeep import meter
from pyasynq.server.upkeep.meter import Meter
from tests.server.handlers import Handler
from tests.support.clocks import SteeredClock
from tests.support.waiting import wait_until

MIB = 2**20


async def test_tasks_are_counted_between_two_calls() -> None:
    clock, taken = SteeredClock(), [3]
    measuring = Meter(lambda: taken[0], clock=clock)
    clock.advance(seconds=2)
    assert measuring.measure().tasks_per_s == 1.5
    taken[0] += 10
    clock.advance(seconds=5)
    assert measuring.measure().tasks_per_s == 2


async def test_a_call_soon_after_another_does_not_count_anew() -> None:
    clock, taken = SteeredClock(), [10]
    measuring = Meter(lambda: taken[0], clock=clock)
    clock.advance(seconds=5)
    assert measuring.measure().tasks_per_s == 2
    taken[0] += 90
    clock.advance(seconds=0.5)
    assert measuring.measure().tasks_per_s == 2
    clock.advance(seconds=4.5)
    assert measuring.measure().tasks_per_s == 18


async def test_the_worst_lag_since_the_last_call_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meter, "PERIOD_S", 0.001)
    measuring = Meter(lambda: 0, clock=SteeredClock())
    running = asyncio.create_task(measuring.run())
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - blocks the loop, as a bad handler does
    lags: list[timedelta] = []

    def has_measured() -> bool:
        lags.append(measuring.measure().loop_lag)
        return lags[-1] > timedelta(0)

    await wait_until(has_measured)
    assert max(lags) >= timedelta(milliseconds=150)
    running.cancel()


async def test_without_a_running_meter_there_is_no_lag() -> None:
    assert Meter(lambda: 0, clock=SteeredClock()).measure().loop_lag == timedelta(0)


async def test_the_memory_is_that_of_the_process() -> None:
    memory = Meter(lambda: 0, clock=SteeredClock()).measure().memory
    assert memory is not None
    assert abs(memory - read_memory()) < 50 * MIB


@contextmanager
def no_more_files() -> Generator[None]:
    """Let this process open no file while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not STATM.exists(), reason="the memory is in no file")
def test_a_process_that_may_open_no_more_files_has_no_memory_but_is_measured() -> None:
    clock, taken = SteeredClock(), [3]
    measuring = Meter(lambda: taken[0], clock=clock)
    clock.advance(seconds=2)
    with no_more_files():
        measured = measuring.measure()
    assert (measured.memory, measured.tasks_per_s) == (None, 1.5)


async def test_a_server_shows_what_it_measures(redis_url: str) -> None:
    async with Server(redis_url).running(Handler()), Inspector(redis_url) as inspector:

        async def is_shown() -> bool:
            return any(server.process for server in await inspector.servers())

        await wait_until(is_shown)
