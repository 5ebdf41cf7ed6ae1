"""Pauses in Redis end by themselves, and values that cannot be read are ignored."""

import math
import time
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from pyasynq.broker import EntryPort
from pyasynq.broker.redis import RedisBroker, shared_keys
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.errors import BrokerError
from pyasynq.core.options import NO_OPTIONS
from pyasynq.core.policy import UNKEPT_S

TTL_S = 10 * UNKEPT_S

TASK = EntryTask(
    entry_id="e", queue="q", type="t", payload=b"p", headers={}, options=NO_OPTIONS, ttl_s=TTL_S
)


async def test_what_an_entry_enqueues_expires(broker: RedisBroker, r: Redis) -> None:
    await broker.entries.keep([TASK])
    assert await r.ttl(shared_keys.entry_task("e")) == pytest.approx(TTL_S, abs=60)


async def test_what_a_forgotten_entry_enqueues_expires_within_a_day(
    broker: RedisBroker, r: Redis
) -> None:
    await broker.entries.keep([TASK])
    await broker.entries.forget("e")
    assert await r.ttl(shared_keys.entry_task("e")) == pytest.approx(UNKEPT_S, abs=60)


async def test_all_pauses_expire_with_the_last_one(broker: RedisBroker, r: Redis) -> None:
    await broker.entries.pause("a", ttl_s=100)
    await broker.entries.pause("b", ttl_s=300)
    await broker.entries.pause("c", ttl_s=200)
    assert await r.ttl(shared_keys.PAUSES) == pytest.approx(300, abs=60)
    await broker.entries.keep([TASK])
    assert await r.ttl(shared_keys.PAUSES) == pytest.approx(300, abs=60)
    await broker.entries.pause("e", ttl_s=100)
    await broker.entries.keep([TASK])
    assert await r.ttl(shared_keys.PAUSES) == pytest.approx(TTL_S, abs=60)


async def test_values_that_cannot_be_read_are_no_pauses_and_do_not_stay(
    broker: RedisBroker, r: Redis
) -> None:
    future_s, past_s = int(time.time()) + 1000, int(time.time()) - 1000
    strange = ["", ":", "x", f"x:{future_s}", f":{past_s}", f"1:{past_s}", f"-1:{future_s}"]
    await r.hset(shared_keys.PAUSES, mapping={str(n): value for n, value in enumerate(strange)})
    await broker.entries.pause("e", ttl_s=1000)
    assert await broker.entries.pauses() == {"e": math.inf}
    assert not await broker.entries.resume("1")
    await broker.entries.keep([TASK])
    assert await r.hkeys(shared_keys.PAUSES) == [b"e"]


async def test_a_record_that_cannot_be_decoded_is_not_there(broker: RedisBroker, r: Redis) -> None:
    await r.set(shared_keys.entry_task("e"), b"\xc1")
    assert await broker.entries.task("e") is None


@pytest.mark.parametrize(
    "call",
    [
        lambda entries: entries.pauses(),
        lambda entries: entries.pause("e", ttl_s=1),
        lambda entries: entries.resume("e"),
        lambda entries: entries.forget("e"),
        lambda entries: entries.keep([TASK]),
    ],
    ids=["pauses", "pause", "resume", "forget", "keep"],
)
async def test_a_broken_key_is_reported(
    broker: RedisBroker, r: Redis, call: Callable[[EntryPort], Awaitable[object]]
) -> None:
    await r.set(shared_keys.PAUSES, "x")
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await call(broker.entries)
    await r.delete(shared_keys.PAUSES)


async def test_a_full_redis_can_pause_and_resume(broker: RedisBroker, r: Redis) -> None:
    await broker.entries.pause("other", ttl_s=1000)
    await r.config_set("maxmemory", 1)
    try:
        assert await broker.entries.pause("e", ttl_s=1000)
        assert await broker.entries.resume("e")
    finally:
        await r.config_set("maxmemory", 0)
