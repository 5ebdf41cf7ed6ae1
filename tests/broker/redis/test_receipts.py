"""Relaying writes the same task as enqueueing does, and a receipt."""

import pytest
from redis.asyncio import Redis

from pyasynq.broker.redis import RedisBroker
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import MAX_TASKS
from tests.broker.redis.stored_keys import GROUP, GROUPS, PENDING, SCHEDULED, Q, everything, fields
from tests.support.factories import (
    LOCK,
    a_grouped,
    a_pending,
    a_scheduled,
    enqueue,
    many_pending,
    relay,
)

RECEIPT = "asynq:{q}:relayed:row"
TIMED = {b"asynq:{q}:g:g", b"asynq:{q}:t:1"}
"""Keys that contain the time of the call."""

PLANS = [
    a_pending("1", lock=LOCK),
    a_scheduled("1", lock=LOCK),
    a_scheduled("1", group_key="g"),
    a_grouped("1", lock=LOCK),
]
every_plan = pytest.mark.parametrize(
    "plan", PLANS, ids=["pending", "scheduled", "scheduled for a group", "grouped"]
)


async def without_times(r: Redis) -> list[object]:
    """Return the content of Redis, without the time of the call."""
    found, task = await everything(r), await fields(r)
    untimed = {key: value for key, value in found.items() if key not in TIMED}
    return [found.keys(), untimed, task.keys(), task[b"msg"], task[b"state"], task.get(b"group")]


@every_plan
async def test_a_relayed_task_stands_in_redis_as_an_enqueued_one(
    plan: Plan, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, plan)
    enqueued = await without_times(r)
    await r.flushall()
    await RedisRegistry(r).register(["q"])
    await relay(broker, [("row", plan)], ttl_s=100)
    assert await r.delete(RECEIPT) == 1
    assert await without_times(r) == enqueued


async def test_a_receipt_is_kept_for_its_ttl(broker: RedisBroker, r: Redis) -> None:
    await relay(broker, [("row", a_pending())], ttl_s=100)
    assert 99 <= await r.ttl(RECEIPT) <= 100


async def test_a_receipt_can_be_shortened(broker: RedisBroker, r: Redis) -> None:
    await relay(broker, [("row", a_pending())], ttl_s=100)
    await broker.receipts.expire([("q", "row"), ("q", "unknown")], ttl_s=10)
    assert 9 <= await r.ttl(RECEIPT) <= 10


async def test_the_queue_is_made_known(broker: RedisBroker, r: Redis) -> None:
    await relay(broker, [("row", a_pending())], ttl_s=100)
    assert await r.smembers("asynq:queues") == {b"q"}


async def test_the_queue_is_made_known_once_for_many_batches(broker: RedisBroker, r: Redis) -> None:
    await r.config_resetstat()
    _ = [await relay(broker, [(f"{n}", a_pending(f"{n}"))], ttl_s=9) for n in range(5)]
    assert (await r.info("commandstats"))["cmdstat_sadd"]["calls"] == 1


async def test_more_than_one_call_takes_are_all_relayed(broker: RedisBroker, r: Redis) -> None:
    rows = [(plan.message.id, plan) for plan in many_pending(MAX_TASKS + 1)]
    assert set(await relay(broker, rows, ttl_s=100)) == {None}
    assert await r.llen(PENDING) == MAX_TASKS + 1


@pytest.mark.parametrize(
    ("key", "broken"), [(PENDING, "a"), (SCHEDULED, "b"), (GROUPS, "c"), (GROUP, "c")]
)
async def test_a_key_of_the_wrong_type_spoils_its_own_tasks_alone(
    key: str, broken: str, broker: RedisBroker, r: Redis
) -> None:
    await r.set(key, "x")
    rows: list[tuple[str, Plan]]
    rows = [("a", a_pending("a")), ("b", a_scheduled("b")), ("c", a_grouped("c"))]
    answers = await relay(broker, rows)
    found = {row: await r.exists(f"{Q}t:{row}", f"{Q}relayed:{row}") for row in "abc"}
    await r.delete(key)
    told = {row: type(answer) for (row, _), answer in zip(rows, answers, strict=True)}
    assert told == dict.fromkeys("abc", type(None)) | {broken: BrokerError}
    assert found == dict.fromkeys("abc", 2) | {broken: 0}
