"""Compare the decision about buckets, in Python and in Lua, with tokens counted one by one."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Protocol, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from member.errors import LimitedError
from member.limits.buckets import Bucket, emptiness
from member.limits.memory import MemoryLimiter
from member.limits.rate import Rate
from member.limits.redis import LUA, RedisLimiter, open_driver
from services.member.tests.doubles import FakeClock
from tests.support.servers import RedisServer

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
RATES = [(1, 1), (3, 1), (7, 60), (10, 60), (20, 3600), (100_000, 1)]
BUCKETS = [
    Bucket(name="any", key=str(burst), rate=Rate(burst=burst, per=timedelta(seconds=seconds)))
    for burst, seconds in RATES
]

EDGES = [
    bucket.rate.interval + off
    for bucket in BUCKETS
    for off in (-MICROSECOND, timedelta(0), MICROSECOND)
]

Step: TypeAlias = tuple[timedelta, frozenset[Bucket]]

STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.just(timedelta(0)) | st.sampled_from(EDGES) | st.timedeltas(timedelta(0), MINUTE),
        st.frozensets(st.sampled_from(BUCKETS), min_size=1, max_size=3),
    ),
    max_size=40,
)


class Taker(Protocol):
    """The part of a limiter that takes tokens."""

    async def take(self, *buckets: Bucket) -> None: ...


class CountingLimiter:
    """Counts tokens and parts of tokens, exactly and slowly."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.tokens = {bucket: Fraction(bucket.rate.burst) for bucket in BUCKETS}
        self.counted_at = clock()

    async def take(self, *buckets: Bucket) -> None:
        self.refill()
        waits = [max(1 - self.tokens[b], Fraction(0)) * interval_us(b) for b in buckets]
        if any(waits):
            raise LimitedError(int(max(waits)) * MICROSECOND)
        for bucket in buckets:
            self.tokens[bucket] -= 1

    def refill(self) -> None:
        passed_us = (self.clock() - self.counted_at) // MICROSECOND
        self.counted_at = self.clock()
        for bucket in BUCKETS:
            more = Fraction(passed_us, interval_us(bucket))
            self.tokens[bucket] = min(self.tokens[bucket] + more, Fraction(bucket.rate.burst))


def interval_us(bucket: Bucket) -> int:
    return bucket.rate.interval // MICROSECOND


async def answers(limiter: Taker, clock: FakeClock, steps: list[Step]) -> list[timedelta | None]:
    """Return the answer to each step: the wait, or None if the tokens were taken."""
    return [await answer(limiter, clock, step) for step in steps]


async def answer(limiter: Taker, clock: FakeClock, step: Step) -> timedelta | None:
    passed, buckets = step
    clock.turn(passed)
    try:
        await limiter.take(*buckets)
    except LimitedError as error:
        return error.retry_after
    return None


async def counted(steps: list[Step]) -> list[timedelta | None]:
    clock = FakeClock()
    return await answers(CountingLimiter(clock), clock, steps)


@given(steps=STEPS)
async def test_memory_gives_the_tokens_that_are_there(steps: list[Step]) -> None:
    clock = FakeClock()
    assert await answers(MemoryLimiter(clock=clock), clock, steps) == await counted(steps)


class RedisAtTime:
    """A limiter in Redis that sets the time before each call."""

    def __init__(self, driver: Redis, clock: FakeClock) -> None:
        self.driver = driver
        self.clock = clock
        self.limiter = RedisLimiter(driver, patience=timedelta(seconds=10))

    async def take(self, *buckets: Bucket) -> None:
        now = self.clock()
        seconds = int(now.timestamp())
        await self.driver.mset({"now:s": seconds, "now:us": now.microsecond})
        await self.limiter.take(*buckets)


@pytest.fixture
async def driver(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Redis]:
    """A Redis whose script reads the time of the test."""
    changed = LUA.replace('redis.call("TIME")', 'redis.call("MGET", "now:s", "now:us")')
    assert changed != LUA
    monkeypatch.setattr("member.limits.redis.LUA", changed)
    async with aclosing(open_driver(redis.url)) as opened:
        assert isinstance(opened, Redis)
        yield opened


@given(steps=STEPS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_redis_gives_the_tokens_that_are_there(driver: Redis, steps: list[Step]) -> None:
    await driver.flushall()
    clock = FakeClock()
    clock.now = datetime(2100, 1, 1, tzinfo=UTC)  # no key expires during the test
    assert await answers(RedisAtTime(driver, clock), clock, steps) == await counted(steps)


def test_emptiness_is_the_missing_part_of_a_bucket() -> None:
    bucket = Bucket(name="a", key="b", rate=Rate(burst=10, per=timedelta(minutes=1)))
    now = FakeClock().now
    assert emptiness(bucket, now + timedelta(seconds=15), now) == 0.25
