"""Fixtures for the tests of schedulers."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Unpack

import pytest
from redis.asyncio import Redis

from pyasynq import Scheduler
from pyasynq.broker import Broker, open_broker
from pyasynq.scheduler import SchedulerOptions
from tests.support.clocks import SteeredClock
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer


@pytest.fixture
def clock() -> SteeredClock:
    """Return a clock that stands still at noon."""
    return SteeredClock()


@pytest.fixture
async def make(redis_url: str, clock: SteeredClock) -> AsyncIterator[Callable[..., Scheduler]]:
    """Yield a function that makes schedulers with the clock of the test; none of them runs."""
    made: list[Scheduler] = []

    def scheduler(**options: Unpack[SchedulerOptions]) -> Scheduler:
        made.append(Scheduler(redis_url, **{**options, "clock": clock}))
        return made[-1]

    yield scheduler
    for one in made:
        await one._broker.aclose()


@pytest.fixture
async def scheduler(make: Callable[..., Scheduler]) -> Scheduler:
    """Return a scheduler with the clock of the test, which calls its steps itself."""
    return make()


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """Yield a broker that reads what a scheduler has written."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


@pytest.fixture
def queue(r: Redis) -> QueueView:
    """Return a view of the queue ``default``."""
    return RedisQueue(r)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yield a Redis that a test may stop and start; it keeps its data."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server
