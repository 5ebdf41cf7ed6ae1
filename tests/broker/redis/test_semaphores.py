"""Tokens are in Redis as Go's x/rate reads them."""

import time

import msgspec
import pytest
from redis.asyncio import Redis

from pyasynq.broker import Token
from pyasynq.broker.redis import RedisBroker
from pyasynq.core.errors import BrokerError
from tests.broker.redis.stored_keys import scored
from tests.support.waiting import Lapse

KEY = "asynq:sema:s"
LONG_AGO = 1
FAR = 2**32


def a_token(holder: str = "a", *, deadline_s: int = 0) -> Token:
    return Token(scope="s", holder=holder, deadline_s=deadline_s)


async def take(broker: RedisBroker, token: Token, *, limit: int = 1) -> bool:
    return await broker.semaphores.acquire(token, limit=limit, lease_s=30)


async def test_a_token_ends_with_its_lease_in_whole_seconds(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    token = a_token()
    assert await take(broker, token)
    assert await scored(r, KEY) == {"a": token.ends_s}
    assert token.ends_s - 30 in lapse


async def test_a_token_never_outlives_the_deadline_of_its_holder(
    broker: RedisBroker, r: Redis
) -> None:
    deadline_s = int(time.time()) + 5
    assert await take(broker, a_token(deadline_s=deadline_s))
    assert await scored(r, KEY) == {"a": deadline_s}


async def test_no_more_tokens_are_given_than_there_are(broker: RedisBroker) -> None:
    given = [await take(broker, a_token(holder), limit=2) for holder in "abc"]
    assert given == [True, True, False]


async def test_a_token_of_a_go_task_counts_until_its_deadline(
    broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(KEY, {"go": int(time.time()) + 1800})
    assert not await take(broker, a_token())


async def test_a_token_that_is_over_is_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(KEY, {"dead": int(time.time()) - 1})
    assert await take(broker, a_token())
    assert (await scored(r, KEY)).keys() == {"a"}


async def test_thousands_of_tokens_that_are_over_are_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(KEY, {f"dead {n}": LONG_AGO for n in range(2500)})
    assert await take(broker, a_token())
    assert (await scored(r, KEY)).keys() == {"a"}


async def test_a_renewed_token_ends_later(broker: RedisBroker, r: Redis, lapse: Lapse) -> None:
    token = a_token()
    await broker.semaphores.acquire(token, limit=1, lease_s=3)
    assert await broker.semaphores.renew([token], lease_s=60) == []
    assert token.ends_s - 60 in lapse
    assert await scored(r, KEY) == {"a": token.ends_s}


async def test_a_full_semaphore_renews(broker: RedisBroker, r: Redis) -> None:
    token = a_token()
    assert await take(broker, token)
    await r.zadd(KEY, {"go": FAR, "go too": FAR})
    assert await broker.semaphores.renew([token], lease_s=60) == []


async def test_hundreds_of_tokens_are_renewed(broker: RedisBroker) -> None:
    tokens = [a_token(str(n)) for n in range(300)]
    assert all([await take(broker, token, limit=300) for token in tokens])
    assert await broker.semaphores.renew(tokens, lease_s=60) == []


async def test_a_token_that_is_gone_is_not_renewed(broker: RedisBroker, r: Redis) -> None:
    lost, kept = a_token("a"), a_token("b")
    assert await take(broker, lost, limit=2)
    assert await take(broker, kept, limit=2)
    await r.zrem(KEY, "a")
    assert await broker.semaphores.renew([lost, kept], lease_s=60) == [lost]
    assert (await scored(r, KEY)).keys() == {"b"}


async def test_a_renewal_whose_answer_was_lost_loses_no_token(broker: RedisBroker) -> None:
    token = a_token()
    await broker.semaphores.acquire(token, limit=1, lease_s=3)
    unheard = msgspec.structs.replace(token)
    assert await broker.semaphores.renew([unheard], lease_s=60) == []
    assert await broker.semaphores.renew([token], lease_s=70) == []
    assert token.ends_s > unheard.ends_s


async def test_a_token_that_is_being_renewed_can_be_given_back(
    broker: RedisBroker, r: Redis
) -> None:
    token = a_token()
    await broker.semaphores.acquire(token, limit=1, lease_s=3)
    assert await broker.semaphores.renew([msgspec.structs.replace(token)], lease_s=60) == []
    assert await broker.semaphores.release(token)
    assert await r.keys() == []


async def test_a_token_counts_to_its_last_second_and_not_beyond(
    broker: RedisBroker, r: Redis
) -> None:
    now_s, _ = await r.time()
    await r.zadd(KEY, {"over": now_s - 1, "live": now_s + 1})
    assert not await take(broker, a_token())
    assert await take(broker, a_token(), limit=2)
    assert (await scored(r, KEY)).keys() == {"a", "live"}


async def test_a_token_that_was_given_back_is_free(broker: RedisBroker, r: Redis) -> None:
    token = a_token()
    assert await take(broker, token)
    assert await broker.semaphores.release(token)
    assert await r.keys() == []


async def test_a_token_is_given_back_once(broker: RedisBroker) -> None:
    token = a_token()
    assert await take(broker, token)
    assert await broker.semaphores.release(token)
    assert not await broker.semaphores.release(token)


async def test_a_token_that_an_earlier_version_took_counts_to_its_end(
    broker: RedisBroker, r: Redis
) -> None:
    now_s, _ = await r.time()
    live, over = now_s + 9 + 7 / 2**20, now_s - 2 + 7 / 2**20  # in the second before its end
    await r.zadd(KEY, {"{q}:1": live, "{q}:2": over})
    mine = a_token("{q}:1:0f")
    assert not await take(broker, mine)
    assert await take(broker, mine, limit=2)
    assert await broker.semaphores.renew([mine], lease_s=60) == []
    assert await broker.semaphores.release(mine)
    assert await scored(r, KEY) == {"{q}:1": live}


async def test_a_key_of_another_type_is_left_as_it_is(broker: RedisBroker, r: Redis) -> None:
    await r.set(KEY, "text")
    token = a_token()
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await take(broker, token)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.semaphores.renew([token], lease_s=30)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.semaphores.release(token)
    assert await r.get(KEY) == b"text"
    await r.delete(KEY)
