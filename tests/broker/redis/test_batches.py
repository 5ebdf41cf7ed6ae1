"""Batches survive broken keys, a full Redis, and a cluster whose nodes are away."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from pyasynq.broker import BatchRef, Lease, RemoveResult
from pyasynq.broker.redis import RedisBroker, connect, keys
from pyasynq.core.batch import BatchPlan
from pyasynq.core.errors import BrokerError, BrokerFullError
from pyasynq.core.policy import BATCH_IDLE_S, MAX_BULK, MAX_TASKS
from pyasynq.core.verdict import DONE
from tests.broker.redis.stored_keys import (
    ACTIVE,
    LOCK_KEY,
    PENDING,
    broken,
    everything,
    listed,
    scored,
)
from tests.broker.test_counted_batches import a_member, reported
from tests.support.factories import (
    LOCK,
    a_grouped,
    a_pending,
    a_scheduled,
    archived,
    ids,
    many_pending,
    settle,
    take,
)
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, a_map, deliver_all, ending, hold_map, open_flow
from tests.support.servers import RedisServer

BATCH = BatchRef(queue="q", id="b", home="q")
NEXT = BatchRef(queue="q", id="c", home="q")
OTHER = BatchRef(queue="r", id="b", home="q")
BATCHES = keys.batches("q")

FIRST: StepShape = ("succeeded", ())
AFTER: StepShape = ("succeeded", (0,))


async def test_a_batch_leaves_no_key_but_those_of_its_tasks(broker: RedisBroker, r: Redis) -> None:
    async with Client(broker) as client:
        await client.enqueue_all([Task("t", queue="q", task_id=f"{n}") for n in "12"])
    found = {*await everything(r)}
    assert {key for key in found if b"batch" in key} == set()
    assert await listed(r, PENDING) == ["1", "2"]


async def test_a_refused_batch_leaves_no_key(broker: RedisBroker, r: Redis) -> None:
    plans = [a_scheduled("1"), a_grouped("2"), a_pending("3", lock=LOCK), a_pending("3")]
    with pytest.raises(Exception, match="'3' is in 'q'"):
        await broker.batches.stage(BATCH, plans, first=0)
    assert await r.exists(LOCK_KEY)
    await broker.batches.discard(BATCH)
    assert await r.keys("asynq:{q}*") == []


async def test_a_batch_of_a_living_client_is_left_alone(broker: RedisBroker, r: Redis) -> None:
    await broker.batches.stage(BATCH, [a_pending()], first=0)
    await broker.batches.commit([(BATCH, 1)])
    (changed_s,) = (await scored(r, BATCHES)).values()
    await broker.batches.repair("q")
    assert await listed(r, PENDING) == []
    await r.zadd(BATCHES, {BATCH.id: changed_s - BATCH_IDLE_S})
    await broker.batches.repair("q")
    assert await listed(r, PENDING) == ["1"]


async def test_a_queue_asks_the_home_whether_its_tasks_run(broker: RedisBroker) -> None:
    await broker.batches.stage(BATCH, [a_pending("1")], first=0)
    await broker.batches.stage(OTHER, [a_pending("2", queue="r")], first=0)
    await broker.batches.repair("r", idle_s=0)
    assert await take(broker, queue="r") == []
    await broker.batches.commit([(BATCH, 1)])  # the client dies before it decides in the other
    assert (await broker.batches.repair("r", idle_s=0)).released == 1
    assert ids(await take(broker, queue="r")) == ["2"]
    await broker.batches.release(BATCH)


async def test_a_queue_finds_the_decision_after_the_home_has_released_its_tasks(
    broker: RedisBroker, r: Redis
) -> None:
    await broker.batches.stage(BATCH, [a_pending("1")], first=0)
    await broker.batches.stage(OTHER, [a_pending("2", queue="r")], first=0)
    await broker.batches.commit([(BATCH, 1), (OTHER, 1)])
    await r.hset(keys.batch("r", "b"), "state", "staging")  # as if the second write were lost
    await broker.batches.release(BATCH)
    await broker.batches.repair("q", idle_s=0)
    assert (await broker.batches.repair("r", idle_s=0)).released == 1
    await broker.batches.repair("q", idle_s=-10 * 365 * 86_400)
    await broker.batches.repair("r", idle_s=-10 * 365 * 86_400)
    assert await r.exists(BATCHES, keys.batches("r"), keys.batch("q", "b")) == 0


# -- keys of a wrong type --------------------------------------------------------------------------


@pytest.mark.parametrize("key", [keys.batch("q", "b"), keys.staged_tasks("q", "b")])
async def test_a_broken_record_is_reported_and_stops_no_other_batch(
    key: str, broker: RedisBroker, r: Redis
) -> None:
    await broker.batches.stage(BATCH, [a_pending("1")], first=0)
    await r.delete(key)
    await r.set(key, "wrong type")
    whole = BatchRef(queue="q", id="c", home="q")
    await broker.batches.stage(whole, [a_pending("2")], first=0)
    await broker.batches.commit([(whole, 1)])
    repair = await broker.batches.repair("q", idle_s=0)
    assert (repair.released, repair.broken) == (1, ["b"])
    assert await listed(r, PENDING) == ["2"]
    await r.delete(key)


@pytest.mark.parametrize(
    "end", ["batches", "batch:b", "batch_staged:b", "pending", "scheduled", "groups", "g:g"]
)
async def test_releasing_into_a_key_of_a_wrong_type_changes_nothing(
    end: str, broker: RedisBroker, r: Redis
) -> None:
    plans = [a_pending("1"), a_scheduled("2"), a_grouped("3")]
    await broker.batches.stage(BATCH, plans, first=0)
    await broker.batches.commit([(BATCH, 3)])
    key = f"asynq:{{q}}:{end}"
    await r.delete(key)
    await r.set(key, "wrong type")
    before = await everything(r)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.batches.release(BATCH)
    assert await everything(r) == before
    await r.delete(key)


@pytest.mark.parametrize("end", ["batches", "batch:b", "batch_staged:b"])
async def test_staging_into_a_key_of_a_wrong_type_changes_nothing(
    end: str, broker: RedisBroker, r: Redis
) -> None:
    key = f"asynq:{{q}}:{end}"
    await r.set(key, "wrong type")
    before = await everything(r)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.batches.stage(BATCH, [a_pending()], first=0)
    assert {*await everything(r)} - {*before} == {b"asynq:queues"}
    await r.delete(key)


@pytest.mark.parametrize("end", ["pending", "scheduled", "groups", "g:g"])
async def test_a_container_of_a_wrong_type_refuses_the_batch(
    end: str, broker: RedisBroker, r: Redis
) -> None:
    key = f"asynq:{{q}}:{end}"
    await r.set(key, "wrong type")
    plans = [a_pending("1"), a_scheduled("2"), a_grouped("3")]
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.batches.stage(BATCH, plans, first=0)
    await broker.batches.discard(BATCH)
    assert await r.keys("asynq:{q}*") == [key.encode()]
    await r.delete(key)


# -- a full Redis ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def full(server: RedisServer) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def broker_of_full(server: RedisServer) -> AsyncIterator[RedisBroker]:
    broker = connect(server.url)
    yield broker
    await broker.aclose()


async def set_full(full: Redis, *, is_full: bool = True) -> None:
    await full.config_set("maxmemory", "1" if is_full else "0")


@pytest.mark.parametrize("calls", range(4))
async def test_a_redis_that_gets_full_takes_none_of_the_tasks(
    calls: int, broker_of_full: RedisBroker, full: Redis
) -> None:
    plans = many_pending(4 * MAX_TASKS)
    for first in range(0, calls * MAX_TASKS, MAX_TASKS):
        chunk = plans[first : first + MAX_TASKS]
        await broker_of_full.batches.stage(BATCH, chunk, first=first)
    await set_full(full)
    with pytest.raises(BrokerFullError):
        await broker_of_full.batches.stage(
            BATCH, plans[calls * MAX_TASKS :], first=calls * MAX_TASKS
        )
    assert await broker_of_full.batches.discard(BATCH)
    await set_full(full, is_full=False)
    assert await full.keys("asynq:{q}*") == []


async def test_a_full_redis_decides_nothing(broker_of_full: RedisBroker, full: Redis) -> None:
    await broker_of_full.batches.stage(BATCH, [a_pending()], first=0)
    await set_full(full)
    with pytest.raises(BrokerFullError):
        await broker_of_full.batches.commit([(BATCH, 1)])
    assert await broker_of_full.batches.discard(BATCH)
    assert await full.keys("asynq:{q}*") == []


async def test_a_full_redis_releases_what_is_decided(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    plans = [a_pending("1"), a_scheduled("2"), a_grouped("3")]
    await broker_of_full.batches.stage(BATCH, plans, first=0)
    await broker_of_full.batches.commit([(BATCH, 3)])
    await set_full(full)
    assert await broker_of_full.batches.release(BATCH) == 3
    assert await listed(full, PENDING) == ["1"]
    assert await full.exists(BATCHES, keys.batch("q", "b")) == 0


# -- what a plain task costs -----------------------------------------------------------------------


async def test_a_batch_costs_a_decision_and_a_release_more_than_its_tasks(
    broker: RedisBroker, r: Redis
) -> None:
    async with Client(broker) as client:
        await client.enqueue_all([Task("t", queue="q")])  # loads the scripts
        await r.config_resetstat()
        await client.enqueue_all([Task("t", queue="q")] * 10)
    calls = (await r.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert calls == 3


# -- batches that count their members --------------------------------------------------------------


async def started(broker: RedisBroker, count: int) -> list[Lease]:
    """Start the batch and take its members."""
    plan = BatchPlan(then=a_pending("then"), failed=a_pending("then", queue="r"), kept_s=100)
    await broker.batches.stage(BATCH, [a_member(number) for number in range(count)], first=0)
    await broker.batches.start(BATCH, count, plan)
    await broker.batches.release(BATCH)
    return await take(broker, count)


@pytest.mark.parametrize("end", ["batches", "batch:b", "batch_ended:b", "batch_failed:b"])
async def test_a_broken_record_keeps_no_member_from_ending(
    end: str, broker: RedisBroker, r: Redis
) -> None:
    lease, _ = await started(broker, 2)
    async with broken(r, f"asynq:{{q}}:{end}"):
        assert await settle(broker, lease, reported(DONE, 0)) is True
        (letter,) = await broker.mail.letters("q", 0, 9)
    assert (letter.to_queue, letter.task_id) == ("q", "b")
    await r.zadd(keys.mail("q"), {letter.id: 0})
    assert (await broker.mail.deliver("q")).delivered == 1
    info = await broker.batches.read("q", "b")
    assert info is not None
    assert info.ended == 1


async def test_a_full_redis_counts_members_and_creates_what_follows(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    first, second = await started(broker_of_full, 2)
    await set_full(full)
    assert await settle(broker_of_full, first, reported(DONE, 0)) is True
    assert await settle(broker_of_full, second, reported(archived(second), 1, "failed")) is True
    (letter,) = await broker_of_full.mail.letters("q", 0, 9)
    assert (letter.to_queue, letter.task_id) == ("r", "then")
    assert await full.exists(ACTIVE) == 0


async def test_a_full_redis_starts_no_batch(broker_of_full: RedisBroker, full: Redis) -> None:
    await broker_of_full.batches.stage(BATCH, [a_member(0)], first=0)
    await set_full(full)
    plan = BatchPlan(then=None, failed=None, kept_s=100)
    with pytest.raises(BrokerFullError):
        await broker_of_full.batches.start(BATCH, 1, plan)
    assert await broker_of_full.batches.discard(BATCH)
    assert await full.keys("asynq:{q}*") == []


async def test_a_batch_that_is_over_expires_and_is_forgotten(broker: RedisBroker, r: Redis) -> None:
    lease, failing = await started(broker, 2)
    await settle(broker, failing, reported(archived(failing), 1, "failed"))
    await settle(broker, lease, reported(DONE, 0))
    records = [keys.batch("q", "b"), keys.ended_members("q", "b"), keys.failed_members("q", "b")]
    assert [0 < await r.ttl(key) <= 100 for key in records] == [True, True, True]
    await r.delete(*records)
    await r.zadd(BATCHES, {"b": 1})
    await broker.batches.repair("q")
    assert await r.exists(BATCHES) == 0
    await broker.mail.deliver("q")


async def test_the_message_of_what_follows_is_read_by_every_reader(
    broker: RedisBroker, r: Redis
) -> None:
    plan = a_pending("then", headers={"trace": "1"}, payload=b"\xff" * 300)
    await broker.batches.start(BATCH, 0, BatchPlan(then=plan, failed=None, kept_s=100))
    (lease,) = await take(broker)
    assert dict(lease.message.headers) == {
        "trace": "1",
        "pyasynq:batch": '{"id":"b","queue":"q","failed":0,"total":0}',
    }
    assert lease.message.payload == b"\xff" * 300


async def test_a_batch_is_cancelled_while_redis_is_full(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await started(broker_of_full, 1)
    await broker_of_full.batches.stage(NEXT, [a_pending("c:0"), a_pending("c:1")], first=0)
    await broker_of_full.batches.start(NEXT, 2, BatchPlan(then=None, failed=None, kept_s=100))
    await set_full(full)
    assert await broker_of_full.batches.cancel("q", "b") == ["b:0"]
    assert await broker_of_full.batches.cancel("q", "c") == []
    info = await broker_of_full.batches.read("q", "c")
    assert info is not None
    assert (info.state, info.ended) == ("cancelled", 2)


async def test_a_queue_is_removed_with_its_maps(broker: RedisBroker, r: Redis) -> None:
    count = 2 * MAX_BULK
    await hold_map(broker, count, keeps_results=True)
    await hold_map(broker, node=1, batch_id="n")
    flow = a_flow(FIRST, AFTER, changes={0: a_map(count), 1: a_map(batch_id="n")})
    await open_flow(broker, flow)
    await deliver_all(broker, "q")
    lease, failing = await take(broker, 2)
    await settle(broker, lease, ending(lease, output=b"result"))
    await settle(broker, failing, ending(failing, "f"))
    assert await r.exists(keys.member_outputs("q", "m"), keys.failed_members("q", "m")) == 2
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await r.keys("asynq:{q}:*") == []
