"""Flows of Redis: broken keys keep no task from ending, and a full Redis writes all or nothing."""

import pytest
from redis.asyncio import Redis

from pyasynq.broker import RemoveResult
from pyasynq.broker.redis import RedisBroker, keys
from pyasynq.core.errors import BrokerError, BrokerFullError
from pyasynq.core.flow import cancel
from pyasynq.core.flow_record import FlowChange
from tests.broker.redis.stored_keys import broken, scored
from tests.support.factories import ids, settle, take
from tests.support.flow_model import StepShape
from tests.support.flows import (
    a_flow,
    a_map,
    deliver_all,
    end_step,
    ending,
    hold_map,
    marks_of,
    open_flow,
    record_of,
)

FIRST: StepShape = ("succeeded", ())
CHAIN: tuple[StepShape, ...] = (FIRST, ("succeeded", (0,)), ("succeeded", (1,)))

RECORD = keys.flow("q", "flow")
REGISTERS = [keys.flows("q"), keys.ended_flows("q"), keys.flow_timers("q")]
MAIL = keys.mail("q")


async def make_due(r: Redis) -> None:
    """Let the time pass for which nobody else sends letters that were taken."""
    await r.zadd(MAIL, dict.fromkeys(await scored(r, MAIL), 0))


@pytest.mark.parametrize("key", [RECORD, *REGISTERS])
async def test_a_step_ends_beside_a_key_of_a_wrong_type_and_its_report_waits(
    broker: RedisBroker, r: Redis, key: str
) -> None:
    await open_flow(broker, a_flow(*CHAIN))
    (lease,) = await take(broker)
    async with broken(r, key):
        assert await settle(broker, lease, ending(lease)) is True
        assert isinstance((await broker.mail.deliver("q")).error, BrokerError)
    await make_due(r)
    assert (await broker.mail.deliver("q")).delivered == 1
    assert await marks_of(broker) == "srw"


async def test_a_broken_record_stops_nothing_else_that_follows(
    broker: RedisBroker, r: Redis
) -> None:
    await open_flow(broker, a_flow(*CHAIN))
    await open_flow(broker, a_flow(*CHAIN, flow_id="sound"))
    await r.hset(RECORD, "n:0", "not MessagePack")
    leases = await take(broker, 2)
    answers = await broker.work.settle([(lease, ending(lease)) for lease in leases])
    assert answers == [True, True]
    assert ids(await take(broker, 9)) == ["sound:1"]
    assert isinstance((await broker.mail.deliver("q")).error, BrokerError)


@pytest.mark.parametrize("key", [RECORD, *REGISTERS])
async def test_a_flow_is_not_opened_beside_a_key_of_a_wrong_type(
    broker: RedisBroker, r: Redis, key: str
) -> None:
    await r.set(key, "wrong type")
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.flows.open(a_flow(*CHAIN))
    await r.delete(key)
    assert await broker.flows.open(a_flow(*CHAIN)) is True


@pytest.mark.parametrize("room", [0, 1_000, 10_000, 100_000, 1_000_000])
async def test_a_flow_is_stored_as_a_whole_or_not_at_all_if_redis_is_full(
    broker: RedisBroker, r: Redis, room: int
) -> None:
    flow = a_flow(*[FIRST] * 200)
    used = (await r.info("memory"))["used_memory"]
    await r.config_set("maxmemory", used + room)
    try:
        opened = await broker.flows.open(flow)
    except BrokerFullError:
        opened = False
    finally:
        await r.config_set("maxmemory", 0)
    assert await r.exists(RECORD) == opened
    assert await r.llen("asynq:{q}:pending") == 200 * opened
    assert await r.zcard(keys.flows("q")) == opened
    await broker.flows.open(flow)
    assert await marks_of(broker) == "r" * 200


@pytest.mark.parametrize("room", [0, 1_000, 10_000, 100_000])
async def test_flows_go_on_while_redis_is_full(broker: RedisBroker, r: Redis, room: int) -> None:
    fans: list[StepShape] = [("succeeded", (0,))] * 100
    await open_flow(broker, a_flow(FIRST, *fans, queues=["q", *"qr" * 50]))
    (lease,) = await take(broker)
    used = (await r.info("memory"))["used_memory"]
    await r.config_set("maxmemory", used + room)
    try:
        assert await settle(broker, lease, ending(lease)) is True
    finally:
        await r.config_set("maxmemory", 0)
    await deliver_all(broker, "q")
    assert await marks_of(broker) == "s" + "r" * 100
    assert [len(await take(broker, 99, queue=queue)) for queue in "qr"] == [50, 50]


async def test_a_cancellation_is_written_while_redis_is_full(broker: RedisBroker, r: Redis) -> None:
    flow = a_flow(*CHAIN)
    await open_flow(broker, flow)
    record = await record_of(broker)
    await r.config_set("maxmemory", 1)
    try:
        moves = cancel(flow.spec.nodes, record.marks)
        change = FlowChange(moves=moves, state="cancelled", reason="why")
        assert await broker.flows.change(record, change) is True
    finally:
        await r.config_set("maxmemory", 0)
    assert (await record_of(broker)).state == "cancelled"


async def test_a_removed_queue_leaves_no_key_of_a_flow(broker: RedisBroker, r: Redis) -> None:
    await open_flow(broker, a_flow(*CHAIN, flow_id="ended"))
    for _ in CHAIN:
        await end_step(broker)
    await open_flow(broker, a_flow(*CHAIN, queues="qrq"))
    await end_step(broker)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await r.keys("asynq:{q}:*") == []
    (lease,) = await take(broker, queue="r")
    assert await settle(broker, lease, ending(lease)) is True  # its report finds no flow
    assert (await broker.mail.deliver("r")).delivered == 1
    assert await r.keys("asynq:{q}:flow*") == []


async def test_the_record_of_a_flow_that_has_ended_expires(broker: RedisBroker, r: Redis) -> None:
    await open_flow(broker, a_flow(FIRST))
    assert await r.ttl(RECORD) == -1
    await end_step(broker)
    assert 0 < await r.ttl(RECORD) <= 100
    await open_flow(broker, a_flow(FIRST, flow_id="failed"))
    await end_step(broker, "f")
    assert 100 < await r.ttl(keys.flow("q", "failed")) <= 200


async def test_a_step_of_the_home_needs_one_call_to_end_and_start_the_next(
    broker: RedisBroker, r: Redis
) -> None:
    await open_flow(broker, a_flow(*CHAIN))
    (lease,) = await take(broker)
    await r.config_resetstat()
    await settle(broker, lease, ending(lease))
    statistics = await r.info("commandstats")
    calls = {name: it["calls"] for name, it in statistics.items() if "eval" in name}
    assert sum(calls.values()) <= 2  # the second if Redis did not know the script yet
    assert ids(await take(broker)) == ["flow:1"]


async def test_a_record_without_marks_keeps_no_other_from_its_time(
    broker: RedisBroker, r: Redis
) -> None:
    await open_flow(broker, a_flow(FIRST))
    await open_flow(broker, a_flow(FIRST, flow_id="sound"))
    await r.zadd(keys.flow_timers("q"), {"0:flow": 0, "0:sound": 0})
    await r.hdel(RECORD, "marks")
    found = await broker.flows.look_after("q", idle_s=100, count=9)
    assert [(timer.id, timer.node) for timer in found.timers] == [("sound", 0)]


async def test_servers_look_at_the_flow_of_a_map_while_redis_is_full(
    broker: RedisBroker, r: Redis
) -> None:
    await hold_map(broker, node=1)
    await open_flow(broker, a_flow(FIRST, CHAIN[1], changes={1: a_map()}))
    await r.config_set("maxmemory", 1)
    try:
        await broker.batches.repair("q", idle_s=-1)
    finally:
        await r.config_set("maxmemory", 0)
    info = await broker.batches.read("q", "m")
    assert info is not None
    assert info.state == "waiting"
