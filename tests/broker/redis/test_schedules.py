"""Schedulers are in Redis as Go's tools read them, and all their keys expire."""

from typing import cast

import pytest
from redis.asyncio import Redis

from pyasynq.broker.protobuf_records import entry_record, event_record
from pyasynq.broker.redis import RedisBroker
from pyasynq.core import info
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import ENDED_S, HISTORY_S, MAX_BYTES, MOST_ENDED
from pyasynq.proto.asynq_pb2 import SchedulerEnqueueEvent, SchedulerEntry
from tests.broker.redis.stored_keys import (
    GROUP,
    GROUPS,
    LOCK_KEY,
    PENDING,
    SCHEDULED,
    everything,
    fields,
    listed,
    record_calls,
    scored,
    stored,
)
from tests.broker.test_schedules import (
    ENTRY,
    KEEP_S,
    START_S,
    a_tick,
    an_event,
    begin,
    tick,
)
from tests.support.factories import LOCK, a_grouped, a_pending, a_scheduled, an_entry, entry_values
from tests.support.waiting import Lapse

LAST = "asynq:{q}:scheduler_last:e"
ENTRIES = "asynq:schedulers:{h:1:s}"
HISTORY = "asynq:scheduler_history:e"


def large_entries(count: int) -> list[info.SchedulerEntry]:
    """Return entries so large that two of them fill a call."""
    payload = bytes(MAX_BYTES // 2)
    return [an_entry(str(n), payload=payload) for n in range(count)]


async def test_the_last_tick_stands_with_the_queue_for_its_time(
    broker: RedisBroker, r: Redis
) -> None:
    await tick(broker, a_tick(START_S))
    assert await r.get(LAST) == str(START_S).encode()
    assert KEEP_S - 2 < await r.ttl(LAST) <= KEEP_S


async def test_beginning_again_prolongs_the_last_tick(broker: RedisBroker, r: Redis) -> None:
    await begin(broker)
    await r.expire(LAST, 1)
    await begin(broker)
    assert await r.ttl(LAST) > KEEP_S - 2


async def test_a_forgotten_entry_keeps_its_last_tick_for_a_minute(
    broker: RedisBroker, r: Redis
) -> None:
    await begin(broker)
    await broker.schedules.forget("e", "q")
    assert 58 < await r.ttl(LAST) <= 60


async def test_the_task_of_a_tick_is_pending_like_any_other(broker: RedisBroker, r: Redis) -> None:
    await tick(broker, a_tick(START_S, a_pending("1", lock=LOCK)))
    assert await listed(r, PENDING) == ["1"]
    found = await fields(r)
    assert found.keys() == {b"msg", b"state", b"pending_since", b"unique_key"}
    assert (await stored(r)).unique_key == LOCK_KEY
    assert await r.get(LOCK_KEY) == b"1"
    assert await r.sismember("asynq:queues", "q") == 1


async def test_the_task_of_a_tick_waits_in_its_group(broker: RedisBroker, r: Redis) -> None:
    await tick(broker, a_tick(START_S, a_grouped("1")))
    assert await r.smembers(GROUPS) == {b"g"}
    assert (await scored(r, GROUP)).keys() == {"1"}
    assert (await fields(r))[b"group"] == b"g"


async def test_the_task_of_a_tick_is_delayed_and_keeps_its_group(
    broker: RedisBroker, r: Redis
) -> None:
    await tick(broker, a_tick(START_S, a_scheduled("1", at_s=4_000_000_000, group_key="g")))
    assert await scored(r, SCHEDULED) == {"1": 4_000_000_000}
    assert (await fields(r))[b"group"] == b"g"


@pytest.mark.parametrize(
    ("key", "plan"),
    [
        (LAST, a_pending()),
        (PENDING, a_pending()),
        (SCHEDULED, a_scheduled()),
        (GROUPS, a_grouped()),
        (GROUP, a_grouped()),
    ],
    ids=["last tick", "pending", "scheduled", "groups", "group"],
)
async def test_a_key_of_the_wrong_type_changes_nothing(
    key: str, plan: object, broker: RedisBroker, r: Redis
) -> None:
    await r.hset(key, "a", "b")
    await r.sadd("asynq:queues", "q")
    before = await everything(r)
    assert isinstance(await tick(broker, a_tick(START_S, cast("None", plan))), BrokerError)
    assert await everything(r) == before
    await r.delete(key)


async def test_a_last_tick_that_is_no_number_is_replaced(broker: RedisBroker, r: Redis) -> None:
    await r.set(LAST, "garbage")
    await tick(broker, a_tick(START_S))
    assert await r.get(LAST) == str(START_S).encode()


# -- entries and events ----------------------------------------------------------------------------


async def test_entries_are_listed_by_the_second_they_end(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    index = await scored(r, "asynq:schedulers")
    assert index.keys() == {ENTRIES}
    assert index[ENTRIES] - 20 in lapse


async def test_entries_are_known_for_some_time_after_a_crash(broker: RedisBroker, r: Redis) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    assert ENDED_S < await r.ttl(ENTRIES) <= 20 + ENDED_S


async def test_entries_are_stored_in_reverse(broker: RedisBroker, r: Redis) -> None:
    entries = [an_entry("1"), an_entry("2")]
    await broker.schedules.write_entries("h:1:s", entries, ttl_s=20)
    records = cast("list[bytes]", await r.lrange(ENTRIES, 0, -1))
    assert [SchedulerEntry.FromString(record).id for record in records] == ["2", "1"]


async def test_thousands_of_entries_take_the_place_of_those_before(
    broker: RedisBroker, r: Redis
) -> None:
    await broker.schedules.write_entries("h:1:s", [an_entry("old")], ttl_s=20)
    entries = [an_entry(str(n)) for n in range(2500)]
    await broker.schedules.write_entries("h:1:s", entries, ttl_s=20)
    records = cast("list[bytes]", await r.lrange(ENTRIES, 0, -1))
    shown = [SchedulerEntry.FromString(record) for record in reversed(records)]
    assert shown == [entry_record(entry) for entry in entries]
    assert ENDED_S < await r.ttl(ENTRIES) <= 20 + ENDED_S


async def test_large_entries_are_shown_in_bounded_calls(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = record_calls(monkeypatch, "schedules/write_entries")
    await broker.schedules.write_entries("h:1:s", large_entries(5), ttl_s=20)
    assert max(call.size for call, _ in calls) < 2 * MAX_BYTES
    assert entry_values(await broker.schedules.entries()) == entry_values(large_entries(5)[::-1])


async def test_large_entries_are_read_in_bounded_answers(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.schedules.write_entries("h:1:s", large_entries(5), ttl_s=20)
    answers = record_calls(monkeypatch, "schedules/read_entries")
    assert len(await broker.schedules.entries()) == 5
    assert [len(answer) for _, answer in answers] == [2, 2, 1, 0]


async def test_entries_that_a_dead_scheduler_had_gathered_are_not_shown(
    broker: RedisBroker, r: Redis
) -> None:
    await r.lpush(
        "asynq:schedulers:{h:1:s}:coming", entry_record(an_entry("x")).SerializeToString()
    )
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    assert entry_values(await broker.schedules.entries()) == entry_values([ENTRY])


async def test_names_of_dead_schedulers_are_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd("asynq:schedulers", {"asynq:schedulers:{dead:1:s}": 1})
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    assert (await scored(r, "asynq:schedulers")).keys() == {ENTRIES}


async def test_the_name_of_a_scheduler_stays_for_some_time_after_a_crash(
    broker: RedisBroker, r: Redis
) -> None:
    now_s, _ = await r.time()
    for name, ended_s in (("dead", ENDED_S - 30), ("old", ENDED_S + 30)):
        await r.zadd("asynq:schedulers", {f"asynq:schedulers:{{{name}:1:s}}": now_s - ended_s})
    assert await broker.schedules.entries() == []
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    index = await scored(r, "asynq:schedulers")
    assert index.keys() == {"asynq:schedulers:{dead:1:s}", ENTRIES}


async def test_only_the_last_schedulers_that_have_crashed_are_known(
    broker: RedisBroker, r: Redis
) -> None:
    now_s, _ = await r.time()
    crashed = [f"asynq:schedulers:{{dead:{number}:s}}" for number in range(MOST_ENDED + 3)]
    for number, key in enumerate(crashed):
        await r.zadd("asynq:schedulers", {key: now_s - 100 + number})
        await r.lpush(key, entry_record(ENTRY).SerializeToString())
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    index = await scored(r, "asynq:schedulers")
    assert index.keys() == {*crashed[3:], ENTRIES}
    assert await r.exists(*crashed) == MOST_ENDED
    await r.delete(*crashed)


async def test_a_dead_scheduler_is_not_shown(broker: RedisBroker, r: Redis) -> None:
    await r.zadd("asynq:schedulers", {ENTRIES: 1})
    await r.lpush(ENTRIES, entry_record(ENTRY).SerializeToString())
    assert await broker.schedules.entries() == []


async def test_a_cleared_scheduler_leaves_nothing(broker: RedisBroker, r: Redis) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    await broker.schedules.clear_entries("h:1:s")
    assert await r.keys() == []


async def test_entries_that_do_not_decode_are_left_out(broker: RedisBroker, r: Redis) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    await r.lpush(ENTRIES, b"\xff")
    assert entry_values(await broker.schedules.entries()) == entry_values([ENTRY])


async def test_a_history_ends_some_time_after_its_last_event(broker: RedisBroker, r: Redis) -> None:
    await broker.schedules.record([("e", an_event(1))])
    assert HISTORY_S - 2 < await r.ttl(HISTORY) <= HISTORY_S


async def test_an_event_is_ordered_by_its_second(broker: RedisBroker, r: Redis) -> None:
    await broker.schedules.record([("e", an_event(1))])
    ((record, score),) = await r.zrange(HISTORY, 0, -1, withscores=True)
    assert SchedulerEnqueueEvent.FromString(cast("bytes", record)) == event_record(an_event(1))
    assert score == START_S + 1


@pytest.mark.parametrize("kind", ["", " "], ids=["none", "blank"])
async def test_entries_with_an_invalid_task_are_left_out(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    await broker.schedules.write_entries("h:1:s", [ENTRY], ttl_s=20)
    await r.lpush(ENTRIES, SchedulerEntry(id="x", task_type=kind).SerializeToString())
    assert entry_values(await broker.schedules.entries()) == entry_values([ENTRY])


async def test_events_that_do_not_decode_are_left_out(broker: RedisBroker, r: Redis) -> None:
    await broker.schedules.record([("e", an_event(1))])
    await r.zadd(HISTORY, {b"\xff": START_S + 9})
    assert await broker.schedules.events("e", page=1, size=10) == [an_event(1)]


async def test_an_event_that_cannot_be_recorded_is_reported(broker: RedisBroker, r: Redis) -> None:
    await r.set(HISTORY, "text")
    with pytest.raises(BrokerError):
        await broker.schedules.record([("e", an_event(1))])
    await r.delete(HISTORY)
