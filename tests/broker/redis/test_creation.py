"""A new task in Redis is the same as asynq's, byte for byte and key for key."""

import asyncio
import time
from contextlib import aclosing
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Inspector, Task
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.broker.redis.creation import REGISTERED_S
from pyasynq.core.compose import Lock, Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError
from tests.broker.redis.stored_keys import GROUP, LOCK_KEY, fields, scored, stored
from tests.support.clocks import ShiftedClock
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    a_grouped,
    a_message,
    a_pending,
    a_scheduled,
    create,
    enqueue,
    many_pending,
)
from tests.support.servers import RedisCluster
from tests.support.waiting import Lapse

UNIQUE = [a_pending(lock=LOCK), a_scheduled(lock=LOCK), a_grouped(lock=LOCK)]
every_unique = pytest.mark.parametrize("plan", UNIQUE, ids=["pending", "scheduled", "grouped"])


# -- pending ---------------------------------------------------------------------------------------


async def test_a_pending_task_is_a_hash_and_an_id_at_the_left(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"))
    await enqueue(broker, a_pending("2"))
    assert await r.lrange("asynq:{q}:pending", 0, -1) == [b"2", b"1"]
    found = await fields(r)
    assert found.keys() == {b"msg", b"state", b"pending_since"}
    assert found[b"state"] == b"pending"


async def test_a_pending_task_has_waited_since_now_by_the_redis_clock(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    since_ns = (await fields(r))[b"pending_since"].decode()
    assert since_ns.isdigit()
    assert abs(int(since_ns) - time.time_ns()) < 2_000_000_000


async def test_the_message_is_stored_as_it_is(broker: RedisBroker, r: Redis) -> None:
    message = a_message(payload=b"p", headers={"a": "1"}, timeout=5)
    await enqueue(broker, a_pending(payload=b"p", headers={"a": "1"}, timeout=5))
    assert await stored(r) == message


async def test_a_batch_stands_in_the_list_as_if_enqueued_one_by_one(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, *many_pending(300))
    assert await r.lrange("asynq:{q}:pending", 0, -1) == [
        str(n).encode() for n in range(299, -1, -1)
    ]


# -- scheduled -------------------------------------------------------------------------------------


async def test_a_scheduled_task_is_a_hash_and_a_whole_second(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_scheduled())
    assert await r.zrange("asynq:{q}:scheduled", 0, -1, withscores=True) == [(b"1", FUTURE_S)]
    found = await fields(r)
    assert found.keys() == {b"msg", b"state"}
    assert found[b"state"] == b"scheduled"


async def test_a_scheduled_task_remembers_its_group(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_scheduled(group_key="g"))
    assert (await fields(r))[b"group"] == b"g"
    assert await r.exists("asynq:{q}:groups") == 0


# -- grouped ---------------------------------------------------------------------------------------


async def test_a_grouped_task_waits_in_its_group_and_the_group_is_known(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await enqueue(broker, a_grouped())
    score = (await scored(r, GROUP))["1"]
    assert score == int(score)
    assert score in lapse
    assert await r.smembers("asynq:{q}:groups") == {b"g"}
    found = await fields(r)
    assert found.keys() == {b"msg", b"state", b"group"}
    assert (found[b"state"], found[b"group"]) == (b"aggregating", b"g")


async def test_a_batch_may_join_several_groups(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_grouped("1", group="g"), a_grouped("2", group="h"))
    assert await r.smembers("asynq:{q}:groups") == {b"g", b"h"}


# -- unique ----------------------------------------------------------------------------------------


@every_unique
async def test_a_unique_task_holds_its_lock(plan: Plan, broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, plan)
    assert await r.get(LOCK_KEY) == b"1"
    assert 95 < await r.ttl(LOCK_KEY) <= 100


@every_unique
async def test_a_unique_task_names_its_lock_in_message_and_hash(
    plan: Plan, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, plan)
    assert (await stored(r)).unique_key == LOCK_KEY
    assert (await fields(r))[b"unique_key"] == LOCK_KEY.encode()


@every_unique
async def test_a_refused_duplicate_writes_nothing(
    plan: Plan, broker: RedisBroker, r: Redis
) -> None:
    await r.set(LOCK_KEY, "another")
    await create(broker, [plan])
    assert set(await r.keys()) == {b"asynq:queues", LOCK_KEY.encode()}
    assert await r.get(LOCK_KEY) == b"another"


@every_unique
async def test_a_conflict_leaves_no_lock(plan: Plan, broker: RedisBroker, r: Redis) -> None:
    await r.hset("asynq:{q}:t:1", "msg", "taken")
    await create(broker, [plan])
    assert set(await r.keys()) == {b"asynq:queues", b"asynq:{q}:t:1"}


async def test_a_lock_is_taken_before_its_holder_is_pushed(broker: RedisBroker, r: Redis) -> None:
    locks = [Lock(digest=str(n % 2), ttl_s=10) for n in range(4)]
    plans = [a_pending(str(n), lock=lock) for n, lock in enumerate(locks)]
    answers = await create(broker, plans)
    assert [type(answer) for answer in answers[2:]] == [DuplicateTaskError] * 2
    assert await r.lrange("asynq:{q}:pending", 0, -1) == [b"1", b"0"]


async def test_a_lock_without_payload_ends_in_a_colon(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending(lock=Lock(digest="", ttl_s=1)))
    assert await r.get("asynq:{q}:unique:t:") == b"1"


# -- registration ----------------------------------------------------------------------------------


async def test_every_queue_is_registered(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending(queue="q"), a_scheduled(queue="r"), a_grouped(queue="s"))
    assert await r.smembers("asynq:queues") == {b"q", b"r", b"s"}


async def test_a_known_queue_is_not_registered_at_every_call(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending("1"))
    await r.config_resetstat()
    await enqueue(broker, a_pending("2"))
    assert "cmdstat_sadd" not in await r.info("commandstats")


async def test_a_removed_queue_is_registered_again_after_a_minute(redis_url: str, r: Redis) -> None:
    clock = ShiftedClock()
    async with aclosing(connect(redis_url, clock)) as broker:
        await enqueue(broker, a_pending("1"))
        await r.srem("asynq:queues", "q")
        clock.passed = timedelta(seconds=REGISTERED_S + 1)
        await enqueue(broker, a_pending("2"))
    assert await r.smembers("asynq:queues") == {b"q"}


async def test_a_task_of_a_queue_that_cannot_be_registered_is_enqueued(
    broker: RedisBroker, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await r.set("asynq:queues", "wrong type")
    await enqueue(broker, a_pending("1"))
    await enqueue(broker, a_pending("2"))
    await r.delete("asynq:queues")
    assert await r.lrange("asynq:{q}:pending", 0, -1) == [b"2", b"1"]
    assert len(caplog.messages) == 1


async def test_a_registration_that_failed_is_made_good_by_the_next_call(
    broker: RedisBroker, r: Redis
) -> None:
    await r.set("asynq:queues", "wrong type")
    await enqueue(broker, a_pending("1"))
    await r.delete("asynq:queues")
    await enqueue(broker, a_pending("2"))
    assert await r.smembers("asynq:queues") == {b"q"}


async def test_tasks_of_all_kinds_in_a_queue_go_in_one_call(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending("known"))
    await r.config_resetstat()
    await enqueue(broker, a_pending("1"), a_scheduled("2"), a_grouped("3", lock=LOCK))
    assert (await r.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1


# -- one queue fails -------------------------------------------------------------------------------


async def test_a_queue_that_cannot_be_written_leaves_the_others_their_answers(
    broker: RedisBroker, r: Redis
) -> None:
    await r.set("asynq:{r}:pending", "wrong type")
    first, second, third = await create(
        broker, [a_pending("1"), a_pending("1", queue="r"), a_pending("2")]
    )
    assert (first, third) == (None, None)
    assert isinstance(second, BrokerError)
    await r.delete("asynq:{r}:pending")


async def test_a_queue_whose_node_hangs_keeps_no_call_for_another_waiting(
    cluster_url: str, redis_cluster: RedisCluster
) -> None:
    async with Client(cluster_url) as client:
        homes: dict[str, str] = {}
        async with Inspector(cluster_url) as inspector:
            for queue in ("a", "b"):
                await client.enqueue(Task("t"), queue=queue)
                homes[queue] = str(await inspector.queue_nodes(queue))
        assert homes["a"] != homes["b"]
        node = next(it for it in redis_cluster.nodes if str(it.port) in homes["a"])
        node.pause()
        try:
            late = asyncio.create_task(client.enqueue(Task("t"), queue="a"))
            await asyncio.gather(*(client.enqueue(Task("t"), queue="b") for _ in range(3)))
            assert not late.done()
        finally:
            node.resume()
        await late
