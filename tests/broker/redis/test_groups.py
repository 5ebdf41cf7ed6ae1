"""What the port for groups writes to the keys of Redis."""

import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio import RedisCluster as Cluster

from pyasynq.broker import GroupRules, ReclaimResult
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.core.compose import Lock
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import MAX_BYTES, STUCK_S
from tests.broker.redis.stored_keys import (
    ARCHIVED,
    GROUP,
    GROUPS,
    LOCK_KEY,
    Q,
    everything,
    fields,
    listed,
    record_calls,
    scored,
    state,
    stored,
    task_key,
)
from tests.support.factories import (
    LOCK,
    PAST_S,
    a_grouped,
    a_pending,
    a_scheduled,
    a_staged_set,
    combine,
    enqueue,
    ids_of,
    postpone,
    tasks_in_set,
)
from tests.support.servers import RedisCluster
from tests.support.waiting import Lapse

SETS = f"{Q}aggregation_sets"
SEARCH = f"{Q}group_search"
GRACE = GroupRules(grace_s=100)
SET_ID = "5cdce7f5-5221-494e-b2ea-262acf33b109"


async def set_ages(r: Redis, **seconds: int) -> None:
    """Set how long ago tasks joined the group, in seconds by id."""
    now_s = int((await r.time())[0])
    await r.zadd(GROUP, {task_id: now_s - ago_s for task_id, ago_s in seconds.items()}, xx=True)


async def leave_unregistered(r: Redis, broker: RedisBroker) -> None:
    """Create a group without its name in groups, as Go's forwarder does."""
    await enqueue(broker, a_grouped())
    await r.delete(GROUPS)


# -- when a group is ready -------------------------------------------------------------------------


@pytest.mark.parametrize(("quiet_s", "found"), [(99, []), (100, []), (101, ["g"])])
async def test_a_group_is_ready_once_it_was_quiet_for_the_whole_grace_period(
    quiet_s: int, found: list[str], broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("a"), a_grouped("b"))
    await set_ages(r, a=500, b=quiet_s)
    assert (await broker.groups.ready("q", GRACE, server_id="me")).names == found


@pytest.mark.parametrize(("old_s", "found"), [(48, []), (50, ["g"])])
async def test_a_group_is_ready_once_its_oldest_task_has_waited_long_enough(
    old_s: int, found: list[str], broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("a"), a_grouped("b"))
    await set_ages(r, a=old_s, b=0)
    rules = GroupRules(grace_s=100, max_delay_s=50)
    assert (await broker.groups.ready("q", rules, server_id="me")).names == found


async def test_an_empty_group_is_forgotten(broker: RedisBroker, r: Redis) -> None:
    await r.sadd(GROUPS, "g")
    assert (await broker.groups.ready("q", GRACE, server_id="me")).names == []
    assert await r.exists(GROUPS) == 0


async def test_a_group_of_a_wrong_type_hides_no_other(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_grouped("1", group="sound"))
    await r.set(GROUP, "wrong type")
    await r.sadd(GROUPS, "g")
    ready = await broker.groups.ready("q", GroupRules(grace_s=1, max_size=1), server_id="me")
    await r.delete(GROUP)
    assert ready.names == ["sound"]


# -- the layout ------------------------------------------------------------------------------------


async def test_a_staged_set_stands_in_redis_as_gos_do(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await enqueue(broker, a_grouped("a"), a_grouped("b"))
    await set_ages(r, a=300, b=200)
    before = await scored(r, GROUP)
    group_set = await broker.groups.stage("q", "g", GRACE)
    assert group_set is not None
    assert uuid.UUID(group_set.id).version == 4
    key = f"{GROUP}:{group_set.id}"
    assert await scored(r, key) == before
    ((name, ends_s),) = (await scored(r, SETS)).items()
    assert name == key
    assert ends_s - 120 in lapse
    assert await state(r, "a") == b"aggregating"
    assert await r.exists(GROUP, GROUPS) == 0


async def test_a_group_with_tasks_left_stays_registered(broker: RedisBroker, r: Redis) -> None:
    await a_staged_set(broker, a_grouped("1"), a_grouped("2"), max_size=1)
    assert await r.smembers(GROUPS) == {b"g"}


async def test_holding_a_set_pushes_its_end_out(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await r.zadd(SETS, {f"{GROUP}:{group_set.id}": 1})
    assert await broker.groups.hold_set(group_set) is True
    ((_, ends_s),) = (await scored(r, SETS)).items()
    assert ends_s - 120 in lapse


async def test_a_combined_set_leaves_only_the_combined_task(broker: RedisBroker, r: Redis) -> None:
    plans = [a_grouped("1", lock=LOCK), a_grouped("2", lock=Lock(digest="2", ttl_s=9))]
    group_set = await a_staged_set(broker, *plans)
    await combine(broker, group_set, a_pending("c", payload=b"p"))
    left = {key.decode() for key in await everything(r)}
    assert left == {"asynq:queues", f"{Q}pending", task_key("c")}
    found = await fields(r, "c")
    assert found.keys() == {b"msg", b"state", b"pending_since"}
    assert (await stored(r, "c")).payload == b"p"
    assert await listed(r, f"{Q}pending") == ["c"]


async def test_a_lock_that_another_task_has_by_now_is_left_to_it(
    broker: RedisBroker, r: Redis
) -> None:
    group_set = await a_staged_set(broker, a_grouped("1", lock=LOCK))
    await r.set(LOCK_KEY, "other")
    await combine(broker, group_set, a_pending("c"))
    assert await r.get(LOCK_KEY) == b"other"


async def test_a_combined_task_with_a_lock_says_so(broker: RedisBroker, r: Redis) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    await combine(broker, group_set, a_pending("c", lock=LOCK))
    assert (await fields(r, "c"))[b"unique_key"] == LOCK_KEY.encode()
    assert (await stored(r, "c")).unique_key == LOCK_KEY
    assert 0 < await r.ttl(LOCK_KEY) <= 100


async def test_a_delayed_combined_task_keeps_its_group(broker: RedisBroker, r: Redis) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    await combine(broker, group_set, a_scheduled("c", at_s=PAST_S, group_key="other"))
    assert (await fields(r, "c"))[b"group"] == b"other"
    assert await state(r, "c") == b"scheduled"
    assert await scored(r, f"{Q}scheduled") == {"c": PAST_S}


async def test_an_archived_task_says_why_and_forgets_its_group(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    await postpone(broker, group_set, wait_s=10)
    tasks = await tasks_in_set(broker, group_set)
    tasks[0].message.error_msg = "boom"  # type: ignore[union-attr]
    await broker.groups.archive(group_set, tasks[:1])
    assert (await stored(r, "1")).error_msg == "boom"
    assert (await fields(r, "1")).keys() == {b"msg", b"state"}
    assert await state(r, "1") == b"archived"
    assert (await scored(r, ARCHIVED))["1"] in lapse


# -- poison and missing tasks ----------------------------------------------------------------------


async def test_an_id_without_a_task_is_dropped_from_its_set(broker: RedisBroker, r: Redis) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"), a_grouped("3"))
    await r.delete(task_key("1"), task_key("2"))
    await r.set(task_key("2"), "wrong type")
    tasks = await tasks_in_set(broker, group_set)
    await r.delete(task_key("2"))
    assert ids_of(tasks) == ["3"]
    assert list(await scored(r, f"{GROUP}:{group_set.id}")) == ["3"]


async def test_hundreds_of_ids_without_a_task_hide_none_that_has_one(
    broker: RedisBroker, r: Redis
) -> None:
    group_set = await a_staged_set(broker, *(a_grouped(f"{n:03}") for n in range(400)))
    await r.delete(*(task_key(f"{n:03}") for n in range(0, 400, 2)))
    read = ids_of(await tasks_in_set(broker, group_set))
    assert read == [f"{n:03}" for n in range(1, 400, 2)]


async def test_a_message_that_cannot_be_read_is_set_apart(broker: RedisBroker, r: Redis) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    await r.hset(task_key("1"), "msg", b"\xff")
    bad, good = await tasks_in_set(broker, group_set)
    assert (bad.id, bad.message, good.id) == ("1", None, "2")
    assert await broker.groups.archive(group_set, [bad]) == 1
    assert (await fields(r, "1"))[b"msg"] == b"\xff"
    assert await state(r, "1") == b"archived"


async def test_a_count_that_is_no_number_counts_as_none(broker: RedisBroker, r: Redis) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    await r.hset(task_key("1"), "aggregation_failures", "many")
    assert await postpone(broker, group_set, wait_s=0) is True
    assert [task.failures for task in await tasks_in_set(broker, group_set)] == [0]


# -- large tasks -----------------------------------------------------------------------------------


async def test_large_tasks_of_a_set_are_read_in_bounded_answers(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [a_grouped(str(n), payload=bytes(MAX_BYTES // 2)) for n in range(9)]
    group_set = await a_staged_set(broker, *large)
    answers = record_calls(monkeypatch, "groups/read_set")
    assert ids_of(await tasks_in_set(broker, group_set)) == [str(n) for n in range(9)]
    assert [len(answer) // 3 for _, answer in answers] == [2, 2, 2, 2, 1]


async def test_ids_without_a_task_among_large_ones_hide_none(broker: RedisBroker, r: Redis) -> None:
    large = [a_grouped(f"{n:03}", payload=bytes(MAX_BYTES // 2)) for n in range(8)]
    group_set = await a_staged_set(broker, *large)
    await r.delete(task_key("000"), task_key("003"))
    read = ids_of(await tasks_in_set(broker, group_set))
    assert read == ["001", "002", "004", "005", "006", "007"]


async def test_large_tasks_of_a_set_are_archived_in_bounded_calls(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [a_grouped(str(n), payload=bytes(MAX_BYTES // 2)) for n in range(5)]
    group_set = await a_staged_set(broker, *large)
    tasks = await tasks_in_set(broker, group_set)
    calls = record_calls(monkeypatch, "groups/archive_grouped")
    assert await broker.groups.archive(group_set, tasks) == 5
    assert [reply for _, reply in calls] == [2, 2, 1]
    assert max(call.size for call, _ in calls) < 2 * MAX_BYTES


# -- reclaim ---------------------------------------------------------------------------------------


async def test_a_reclaimed_task_keeps_its_place_and_its_group_is_registered(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("a"))
    await set_ages(r, a=300)
    before = await scored(r, GROUP)
    group_set = await broker.groups.stage("q", "g", GRACE)
    assert group_set is not None
    await r.zadd(SETS, {f"{GROUP}:{group_set.id}": 1})
    assert (await broker.groups.reclaim("q")).tasks == 1
    assert await scored(r, GROUP) == before
    assert await r.smembers(GROUPS) == {b"g"}
    assert await r.exists(SETS) == 0


async def test_a_large_set_of_go_is_reclaimed_in_parts(broker: RedisBroker, r: Redis) -> None:
    key = f"{GROUP}:{SET_ID}"
    await r.zadd(key, {f"{n}": n for n in range(2500)})
    await r.zadd(SETS, {key: 1})
    assert (await broker.groups.reclaim("q")).tasks == 2500
    assert await r.zcard(GROUP) == 2500
    assert await r.exists(SETS, key) == 0


async def test_a_set_that_cannot_go_back_hides_no_other(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    bad, good = f"{Q}g:bad:{SET_ID}", f"{GROUP}:{SET_ID}"
    await r.set(f"{Q}g:bad", "wrong type")
    _ = [await r.zadd(key, {"1": 1}) for key in (bad, good)]
    await r.zadd(SETS, {bad: 1, good: 2})
    with pytest.raises(BrokerError, match=SET_ID):
        await broker.groups.reclaim("q")
    left = await scored(r, SETS)
    assert await scored(r, GROUP) == {"1": 1}
    assert await scored(r, bad) == {"1": 1}
    assert (await broker.groups.reclaim("q")).tasks == 0
    await r.delete(f"{Q}g:bad")
    assert left.keys() == {bad}
    assert left[bad] - STUCK_S in lapse


@pytest.mark.parametrize(
    "name", ["", "nonsense", f"{Q}g:", f"{Q}g::", f"{GROUP}:{SET_ID}", "asynq:{q}:pending:x"]
)
async def test_a_name_that_stands_for_no_set_is_dropped(
    name: str, broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(SETS, {name: 1})
    assert (await broker.groups.reclaim("q")).tasks == 0
    assert await r.exists(SETS) == 0


# -- search ----------------------------------------------------------------------------------------

FOUND = ReclaimResult(tasks=0, groups=1, next_in_s=60)


async def test_a_group_that_go_left_unregistered_is_found(broker: RedisBroker, r: Redis) -> None:
    await leave_unregistered(r, broker)
    assert await broker.groups.reclaim("q") == FOUND
    assert await r.smembers(GROUPS) == {b"g"}


async def test_a_staged_set_is_no_group(broker: RedisBroker, r: Redis) -> None:
    await a_staged_set(broker, a_grouped())
    assert await broker.groups.reclaim("q") == ReclaimResult(tasks=0, groups=0, next_in_s=60)


async def test_a_staged_set_that_was_forgotten_is_put_back(broker: RedisBroker, r: Redis) -> None:
    await a_staged_set(broker, a_grouped())
    await r.delete(SETS)
    assert await broker.groups.reclaim("q") == FOUND
    assert (await broker.groups.reclaim("q")).tasks == 1
    assert await scored(r, GROUP)


async def test_a_group_of_another_queue_is_left_alone(broker: RedisBroker, r: Redis) -> None:
    await leave_unregistered(r, broker)
    assert (await broker.groups.reclaim("*")).groups == 0
    assert await r.exists(GROUPS) == 0


async def test_a_large_redis_is_searched_in_parts(broker: RedisBroker, r: Redis) -> None:
    await leave_unregistered(r, broker)
    await r.mset({f"asynq:{{q}}:unique:t:{n}": "1" for n in range(5000)})
    waits = [wait_s async for wait_s in _search(broker, r)]
    await r.flushall()
    assert set(waits[:-1]) == {1}
    assert waits[-1] == 60
    assert 4 <= len(waits) <= 6


async def test_the_search_goes_on_where_another_server_left_it(
    broker: RedisBroker, r: Redis
) -> None:
    await r.mset({f"asynq:{{q}}:unique:t:{n}": "1" for n in range(5000)})
    await broker.groups.reclaim("q")
    cursor = await r.hget(SEARCH, "cursor")
    assert cursor != b"0"
    assert await broker.groups.reclaim("q") == ReclaimResult(tasks=0, groups=0, next_in_s=1)
    assert await r.hget(SEARCH, "cursor") == cursor
    await r.flushall()


async def test_the_position_of_a_search_expires(broker: RedisBroker, r: Redis) -> None:
    await broker.groups.reclaim("q")
    assert 0 < await r.ttl(SEARCH) <= 3600


async def _search(broker: RedisBroker, r: Redis) -> AsyncIterator[float]:
    """Run a whole search without its pauses; yield the length of each pause."""
    wait_s = 0.0
    while wait_s < 60:
        await r.hdel(SEARCH, "from_s")
        wait_s = (await broker.groups.reclaim("q")).next_in_s
        yield wait_s


async def test_on_a_cluster_the_search_looks_where_the_queue_is(
    cluster_url: str, redis_cluster: RedisCluster
) -> None:
    broker = connect(cluster_url)
    queues = [f"q{n}" for n in range(12)]
    await enqueue(broker, *(a_grouped(queue=queue) for queue in queues))
    async with Cluster.from_url(redis_cluster.url.replace("redis-cluster", "redis")) as client:
        _ = [await client.delete(f"asynq:{{{queue}}}:groups") for queue in queues]
    found = [await broker.groups.reclaim(queue) for queue in queues]
    await broker.aclose()
    assert found == [FOUND] * 12


async def test_tasks_of_one_second_are_read_in_the_order_of_their_ids(broker: RedisBroker) -> None:
    group_set = await a_staged_set(broker, a_grouped("b"), a_grouped("c"), a_grouped("a"))
    assert ids_of(await tasks_in_set(broker, group_set)) == ["a", "b", "c"]
