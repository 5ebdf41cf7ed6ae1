"""Limiters: in memory, in Redis, and the fallback from Redis to memory."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from member.errors import LimitedError
from member.limits.buckets import Bucket, Limiter
from member.limits.fallback import FallbackLimiter
from member.limits.memory import MemoryLimiter
from member.limits.rate import Rate
from member.limits.redis import LimiterAwayError, RedisLimiter, open_driver
from services.member.tests.doubles import FakeClock
from tests.support.servers import RedisCluster, RedisServer, TlsRedis
from tests.support.waiting import wait_until

MINUTE = timedelta(minutes=1)
ALICE = Bucket(name="login:account", key="alice", rate=Rate(burst=2, per=MINUTE))
BOB = Bucket(name="login:account", key="bob", rate=Rate(burst=2, per=MINUTE))
HOME = Bucket(name="login:address", key="203.0.113.7", rate=Rate(burst=3, per=MINUTE))
QUICK = Bucket(name="quick", key="one", rate=Rate(burst=1, per=timedelta(milliseconds=30)))
PATIENCE = timedelta(seconds=10)
SHORT = timedelta(milliseconds=50)


@pytest.fixture
async def driver(redis: RedisServer) -> AsyncGenerator[Redis]:
    async with aclosing(open_driver(redis.url)) as opened:
        assert isinstance(opened, Redis)
        yield opened


@pytest.fixture
def in_redis(driver: Redis) -> RedisLimiter:
    return RedisLimiter(driver, patience=PATIENCE)


@pytest.fixture
def in_memory(clock: FakeClock) -> MemoryLimiter:
    return MemoryLimiter(clock=clock)


@pytest.fixture(params=["in_redis", "in_memory"])
def limiter(request: pytest.FixtureRequest) -> Limiter:
    """A limiter of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def cluster() -> Generator[RedisCluster]:
    with RedisCluster() as started:
        yield started


async def wait_of(limiter: Limiter, *buckets: Bucket) -> timedelta:
    with pytest.raises(LimitedError) as caught:
        await limiter.take(*buckets)
    return caught.value.retry_after


async def gives(limiter: Limiter, bucket: Bucket) -> bool:
    try:
        await limiter.take(bucket)
    except LimitedError:
        return False
    return True


async def is_empty(driver: Redis) -> bool:
    return await driver.dbsize() == 0


async def take_made_up(limiter: Limiter, rate: Rate) -> None:
    for number in range(100):
        await limiter.take(Bucket(name="any", key=str(number), rate=rate))


async def test_a_full_bucket_gives_all_its_tokens_at_once(limiter: Limiter) -> None:
    await limiter.take(ALICE)
    await limiter.take(ALICE)
    assert timedelta(seconds=20) < await wait_of(limiter, ALICE) <= timedelta(seconds=30)


async def test_each_key_has_a_bucket_of_its_own(limiter: Limiter) -> None:
    await limiter.take(ALICE)
    await limiter.take(ALICE)
    await limiter.take(BOB)


async def test_an_empty_bucket_keeps_the_others_full(limiter: Limiter) -> None:
    await limiter.take(ALICE, HOME)
    await limiter.take(ALICE, HOME)
    await wait_of(limiter, HOME, ALICE)
    await wait_of(limiter, ALICE, HOME)
    await limiter.take(BOB, HOME)
    await wait_of(limiter, BOB, HOME)


async def test_the_answer_names_the_longest_wait(limiter: Limiter) -> None:
    day = Bucket(name="daily", key="alice", rate=Rate(burst=1, per=timedelta(days=1)))
    await limiter.take(ALICE, day)
    await limiter.take(ALICE)
    assert await wait_of(limiter, ALICE, day) > timedelta(hours=23)


async def test_a_token_can_be_given_back(limiter: Limiter) -> None:
    await limiter.take(ALICE, HOME)
    await limiter.take(ALICE, HOME)
    await limiter.give_back(ALICE)
    await limiter.take(ALICE, HOME)
    await wait_of(limiter, ALICE)
    await wait_of(limiter, HOME)


async def test_a_full_bucket_takes_no_token_back(limiter: Limiter) -> None:
    await limiter.give_back(ALICE)
    await limiter.take(ALICE)
    await limiter.give_back(ALICE)
    await limiter.give_back(ALICE)
    await limiter.take(ALICE)
    await limiter.take(ALICE)
    await wait_of(limiter, ALICE)


async def test_no_bucket_is_no_limit(limiter: Limiter) -> None:
    await limiter.take()


async def test_tokens_come_back_one_by_one(in_memory: MemoryLimiter, clock: FakeClock) -> None:
    await in_memory.take(ALICE)
    await in_memory.take(ALICE)
    clock.turn(timedelta(seconds=30))
    await in_memory.take(ALICE)
    assert await wait_of(in_memory, ALICE) == timedelta(seconds=30)


async def test_a_clock_that_is_set_back_locks_nobody_out(
    in_memory: MemoryLimiter, clock: FakeClock
) -> None:
    await in_memory.take(ALICE)
    clock.turn(-timedelta(days=1))
    assert await wait_of(in_memory, ALICE) == timedelta(seconds=30)


async def test_made_up_keys_fill_no_memory(clock: FakeClock) -> None:
    small = MemoryLimiter(most=10, clock=clock)
    await take_made_up(small, ALICE.rate)
    assert len(small) <= 10


async def test_made_up_keys_push_no_empty_bucket_out(clock: FakeClock) -> None:
    small = MemoryLimiter(most=10, clock=clock)
    await small.take(ALICE)
    await small.take(ALICE)
    await take_made_up(small, Rate(burst=9, per=MINUTE * 99))
    await wait_of(small, ALICE)


async def test_tokens_come_back_in_redis_too(in_redis: RedisLimiter) -> None:
    await in_redis.take(QUICK)

    await wait_until(lambda: gives(in_redis, QUICK))


async def test_full_buckets_expire_in_redis(in_redis: RedisLimiter, driver: Redis) -> None:
    await in_redis.take(QUICK)
    await wait_until(lambda: is_empty(driver))


async def test_keys_in_redis_are_named_and_end(in_redis: RedisLimiter, driver: Redis) -> None:
    await in_redis.take(HOME)
    assert await driver.keys() == [b"member:{limits}:login:address:203.0.113.7"]
    assert 0 < await driver.ttl("member:{limits}:login:address:203.0.113.7") <= 20


async def test_a_rate_that_was_changed_keeps_nobody_waiting(in_redis: RedisLimiter) -> None:
    await in_redis.take(Bucket(name="a", key="b", rate=Rate(burst=1, per=timedelta(days=1))))
    changed = Bucket(name="a", key="b", rate=Rate(burst=1, per=MINUTE))
    assert await wait_of(in_redis, changed) == MINUTE


async def test_all_processes_count_together(redis: RedisServer, in_redis: RedisLimiter) -> None:
    await in_redis.take(ALICE)
    async with aclosing(open_driver(redis.url)) as other:
        await RedisLimiter(other, patience=PATIENCE).take(ALICE)
    await wait_of(in_redis, ALICE)


async def test_a_redis_that_lost_everything_goes_on(
    redis: RedisServer, in_redis: RedisLimiter
) -> None:
    await in_redis.take(ALICE)
    redis.restart()
    await in_redis.take(ALICE)
    await in_redis.take(ALICE)
    await wait_of(in_redis, ALICE)


async def test_an_error_from_redis_is_no_decision(in_redis: RedisLimiter, driver: Redis) -> None:
    await driver.lpush("member:{limits}:login:account:alice", "no bucket")
    with pytest.raises(LimiterAwayError, match="WRONGTYPE"):
        await in_redis.take(ALICE)


async def test_redis_that_hangs_is_not_waited_for(redis: RedisServer, driver: Redis) -> None:
    hasty = RedisLimiter(driver, patience=SHORT)
    redis.pause()
    with pytest.raises(LimiterAwayError, match=r"no answer in 0\.05 s"):
        await hasty.take(ALICE)


async def test_buckets_of_a_cluster_are_taken_together(cluster: RedisCluster) -> None:
    async with aclosing(open_driver(cluster.url)) as driver:
        in_cluster = RedisLimiter(driver, patience=PATIENCE)
        await in_cluster.take(ALICE, HOME)
        await in_cluster.take(ALICE, HOME)
        await wait_of(in_cluster, ALICE, HOME)
        await in_cluster.take(BOB, HOME)


async def test_redis_is_reached_with_tls() -> None:
    with TlsRedis() as server:
        async with aclosing(open_driver(server.url)) as driver:
            await RedisLimiter(driver, patience=PATIENCE).take(ALICE)


async def test_host_and_port_are_an_address_too() -> None:
    driver = open_driver("127.0.0.1:6380")
    assert isinstance(driver, Redis)
    assert driver.get_connection_kwargs()["port"] == 6380


@pytest.mark.parametrize(
    "address",
    ["redis-sentinel://a:1?master=m", "http://a", "redis://a:b", "redis://a?ssl_server_name=b"],
)
async def test_an_address_that_limits_cannot_use_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match=r"limits|[Pp]ort"):
        open_driver(address)


class FakeMonotonic:
    """A monotonic clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Fickle:
    """A limiter that is away when a test sets it so."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0

    async def take(self, *_buckets: Bucket) -> None:
        self.asked += 1
        if self.away:
            raise LimiterAwayError("nobody is here")

    async def give_back(self, *buckets: Bucket) -> None:
        await self.take(*buckets)


@pytest.fixture
def fickle() -> Fickle:
    return Fickle()


@pytest.fixture
def monotonic() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def fallback(fickle: Fickle, in_memory: MemoryLimiter, monotonic: FakeMonotonic) -> FallbackLimiter:
    return FallbackLimiter(fickle, in_memory, monotonic=monotonic)


async def test_memory_decides_while_redis_is_away(fallback: FallbackLimiter) -> None:
    await fallback.take(ALICE)
    await fallback.take(ALICE)
    await wait_of(fallback, ALICE)


async def test_memory_takes_back_while_redis_is_away(fallback: FallbackLimiter) -> None:
    await fallback.take(ALICE)
    await fallback.take(ALICE)
    await fallback.give_back(ALICE)
    await fallback.take(ALICE)
    await wait_of(fallback, ALICE)


async def test_a_token_that_redis_does_not_take_back_is_no_error(
    fallback: FallbackLimiter, fickle: Fickle
) -> None:
    fickle.away = False
    await fallback.take(ALICE)
    await fallback.give_back(ALICE)
    fickle.away = True
    await fallback.give_back(ALICE)
    assert fickle.asked == 3


async def test_redis_that_is_away_is_asked_once_a_second(
    fallback: FallbackLimiter, fickle: Fickle, monotonic: FakeMonotonic
) -> None:
    await fallback.take(ALICE)
    await fallback.take(BOB)
    assert fickle.asked == 1
    monotonic.now_s += 1
    await fallback.take(ALICE)
    await fallback.take(BOB)
    assert fickle.asked == 2


async def test_redis_that_is_back_decides_again(
    fallback: FallbackLimiter, fickle: Fickle, monotonic: FakeMonotonic
) -> None:
    await fallback.take(ALICE)
    fickle.away = False
    monotonic.now_s += 1
    await fallback.take(ALICE)
    await fallback.take(ALICE)
    assert fickle.asked == 3


async def test_the_log_names_each_change_once(
    fallback: FallbackLimiter, fickle: Fickle, monotonic: FakeMonotonic
) -> None:
    with capture_logs() as lines:
        await fallback.take(ALICE)
        monotonic.now_s += 1
        await fallback.take(ALICE)
        fickle.away = False
        monotonic.now_s += 1
        await fallback.take(ALICE)
        await fallback.take(ALICE)
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("limits are counted in this process: Redis is away", "nobody is here"),
        ("limits are counted in Redis again", None),
    ]


async def test_a_refusal_by_redis_is_not_asked_again_of_memory(
    redis: RedisServer, in_redis: RedisLimiter, in_memory: MemoryLimiter
) -> None:
    fallback = FallbackLimiter(in_redis, in_memory)
    await in_redis.take(ALICE)
    await fallback.take(ALICE)
    await wait_of(fallback, ALICE)
    assert len(in_memory) == 0
