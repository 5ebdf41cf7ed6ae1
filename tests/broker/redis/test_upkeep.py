"""What the upkeep port writes to Redis, key for key."""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import msgspec
import pytest
from redis.asyncio import Redis

from pyasynq.broker import Job, News, Vacancy
from pyasynq.broker.redis import RedisBroker
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import BATCH_IDLE_S, FLOW_IDLE_S
from pyasynq.core.verdict import DONE
from tests.broker.redis.stored_keys import (
    ACTIVE,
    ARCHIVED,
    COMPLETED,
    GROUP,
    GROUPS,
    LEASE,
    LOCK_KEY,
    PENDING,
    RETRY,
    SCHEDULED,
    Q,
    everything,
    fields,
    go_takes,
    listed,
    scored,
    state,
    task_key,
)
from tests.support.factories import (
    FUTURE_S,
    PAST_S,
    a_grouped,
    a_lease,
    a_message,
    a_pending,
    a_scheduled,
    archived,
    completed,
    enqueue,
    ids,
    settle,
    take,
)
from tests.support.waiting import Lapse, wait_until

DAY_S = 86_400
UUID = uuid.UUID(int=1)


def now_s() -> int:
    return int(time.time())


# -- forward ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [SCHEDULED, RETRY])
async def test_a_due_task_becomes_pending(
    source: str, broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await r.hset(task_key(), mapping={"msg": "m", "state": "waits"})
    await r.zadd(source, {"1": PAST_S})
    await broker.upkeep.forward("q")
    assert await listed(r, PENDING) == ["1"]
    assert await r.exists(source) == 0
    found = await fields(r)
    assert found[b"state"] == b"pending"
    assert int(found[b"pending_since"]) / 1e9 in lapse


async def test_a_due_task_of_a_group_joins_it_and_the_group_is_known(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await enqueue(broker, a_scheduled(at_s=PAST_S, group_key="g"))
    await broker.upkeep.forward("q")
    score = (await scored(r, GROUP))["1"]
    assert score == int(score)
    assert score in lapse
    assert await r.smembers(GROUPS) == {b"g"}
    assert await state(r) == b"aggregating"
    assert await r.exists(PENDING, SCHEDULED) == 0


async def test_an_empty_group_field_is_no_group(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_scheduled(at_s=PAST_S))
    await r.hset(task_key(), "group", "")
    await broker.upkeep.forward("q")
    assert await listed(r, PENDING) == ["1"]


async def test_a_due_id_without_a_task_is_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(SCHEDULED, {"missing": 1})
    await enqueue(broker, a_scheduled("1", at_s=PAST_S))
    await broker.upkeep.forward("q")
    assert await listed(r, PENDING) == ["1"]
    assert await r.exists(SCHEDULED, task_key("missing")) == 0


async def test_a_task_is_due_at_its_second(broker: RedisBroker, r: Redis) -> None:
    await r.hset(task_key(), "msg", "m")
    await r.zadd(SCHEDULED, {"1": now_s()})
    assert (await broker.upkeep.forward("q")).moved == 1


async def test_the_next_due_time_is_that_of_the_nearest_task(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await r.zadd(SCHEDULED, {"a": now_s() + 100, "b": now_s() + 500})
    await r.zadd(RETRY, {"c": now_s() + 200})
    due_s = now_s() + 100
    await r.zadd(SCHEDULED, {"a": due_s})
    next_in_s = (await broker.upkeep.forward("q")).next_in_s
    assert next_in_s is not None
    assert due_s - next_in_s in lapse


async def test_a_fractional_score_that_a_peer_wrote_is_not_early(
    broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(SCHEDULED, {"1": FUTURE_S + 0.5})
    assert (await broker.upkeep.forward("q")).moved == 0


async def test_more_tasks_to_be_retried_than_fit_a_step_are_more(
    broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(RETRY, {str(n): 1 for n in range(129)})
    first, second = [await broker.upkeep.forward("q") for _ in range(2)]
    assert (first.moved, first.more) == (128, True)
    assert (second.moved, second.more) == (1, False)


@pytest.mark.parametrize("broken", [SCHEDULED, RETRY])
async def test_one_broken_source_does_not_stop_the_other(
    broken: str, broker: RedisBroker, r: Redis
) -> None:
    sound = {SCHEDULED: RETRY, RETRY: SCHEDULED}[broken]
    await r.set(broken, "wrong type")
    await r.hset(task_key(), "msg", "m")
    await r.zadd(sound, {"1": 1})
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.upkeep.forward("q")
    assert await listed(r, PENDING) == ["1"]
    await r.delete(broken)


# -- expired ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("over_for_s", "seen"), [(1, []), (25, []), (31, ["1"])])
async def test_a_lease_of_a_go_worker_is_over_after_a_margin(
    over_for_s: int, seen: list[str], broker: RedisBroker, r: Redis
) -> None:
    await go_takes(r, lease_ends_s=now_s() - over_for_s)
    assert ids((await broker.upkeep.expired("q")).leases) == seen


async def test_a_lease_of_ours_is_over_at_once(broker: RedisBroker) -> None:
    await a_lease(broker, lease_s=-1)
    assert ids((await broker.upkeep.expired("q")).leases) == ["1"]


async def test_a_token_that_outlived_its_lease_makes_no_go_workers_lease_ours(
    broker: RedisBroker, r: Redis
) -> None:
    await a_lease(broker, lease_s=-100)
    await r.zadd(LEASE, {"1": now_s() - 5})
    assert (await broker.upkeep.expired("q")).leases == []


async def test_a_lease_without_a_task_is_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(LEASE, {"zombie": 1})
    await r.lpush(ACTIVE, "zombie", "zombie")
    assert (await broker.upkeep.expired("q")).leases == []
    assert await r.exists(ACTIVE, LEASE) == 0


async def test_a_zombie_hides_no_task(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(LEASE, {"zombie": 1})
    await go_takes(r, lease_ends_s=2)
    assert ids((await broker.upkeep.expired("q")).leases) == ["1"]


async def test_poison_is_listed_beside_what_is_sound(broker: RedisBroker, r: Redis) -> None:
    await go_takes(r, "bad", lease_ends_s=1)
    await r.hset(task_key("bad"), "msg", b"\xff\xff\xff")
    await go_takes(r, "good", lease_ends_s=2)
    over = await broker.upkeep.expired("q")
    assert [(bad.id, bad.queue) for bad in over.poison] == [("bad", "q")]
    assert [good.message for good in over.leases] == [a_message("good")]


async def test_many_leases_of_go_within_the_margin_do_not_hide_ours(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("ours"))
    await take(broker, lease_s=-1)
    recent = {f"go{n}": now_s() - 5 for n in range(500)}
    await r.zadd(LEASE, recent)
    pipeline = r.pipeline(transaction=False)
    _ = [pipeline.hset(task_key(name), "msg", "m") for name in recent]
    await pipeline.execute()
    assert ids((await broker.upkeep.expired("q")).leases) == ["ours"]


# -- repair ----------------------------------------------------------------------------------------


async def test_a_running_task_without_lease_gets_one_that_is_over(
    broker: RedisBroker, r: Redis
) -> None:
    await go_takes(r, lease_ends_s=FUTURE_S)
    await r.delete(LEASE)
    assert ids((await broker.upkeep.expired("q")).leases) == ["1"]


async def test_a_task_of_ours_without_lease_is_recovered(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker)
    await r.delete(LEASE)
    assert ids((await broker.upkeep.expired("q")).leases) == ["1"]


async def test_a_running_id_without_lease_or_task_is_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.lpush(ACTIVE, "zombie")
    assert (await broker.upkeep.expired("q")).leases == []
    assert await r.exists(ACTIVE, LEASE) == 0


async def test_repair_leaves_leases_as_they_are(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker)
    before = await everything(r)
    await broker.upkeep.expired("q")
    assert await everything(r) == before


async def test_there_is_no_repair_while_leases_are_over(broker: RedisBroker, r: Redis) -> None:
    await go_takes(r, "over", lease_ends_s=1)
    await go_takes(r, "without", lease_ends_s=FUTURE_S)
    await r.zrem(LEASE, "without")
    (over,) = (await broker.upkeep.expired("q")).leases
    assert over.id == "over"
    assert (await scored(r, LEASE)).keys() == {"over"}
    await settle(broker, over, archived(over))
    assert ids((await broker.upkeep.expired("q")).leases) == ["without"]


async def test_there_is_no_repair_while_poison_is_over(broker: RedisBroker, r: Redis) -> None:
    await go_takes(r, "bad", lease_ends_s=1)
    await r.hset(task_key("bad"), "msg", b"\xff\xff\xff")
    await go_takes(r, "without", lease_ends_s=FUTURE_S)
    await r.zrem(LEASE, "without")
    assert ids((await broker.upkeep.expired("q")).poison) == ["bad"]
    assert (await scored(r, LEASE)).keys() == {"bad"}


async def test_repair_looks_at_every_running_task(broker: RedisBroker, r: Redis) -> None:
    await r.rpush(ACTIVE, *(str(n) for n in range(1200)))
    pipeline = r.pipeline(transaction=False)
    _ = [pipeline.hset(task_key(str(n)), "msg", "m") for n in range(1200)]
    await pipeline.execute()
    await broker.upkeep.expired("q")
    assert await r.zcard(LEASE) == 1200


# -- end_leases ------------------------------------------------------------------------------------


async def test_the_lease_of_a_go_worker_is_not_ended(broker: RedisBroker, r: Redis) -> None:
    await go_takes(r, lease_ends_s=FUTURE_S)
    assert await broker.upkeep.end_leases("q", "server") == 0
    assert await scored(r, LEASE) == {"1": FUTURE_S}


async def test_ending_leases_adds_none(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker)
    await r.delete(LEASE)
    assert await broker.upkeep.end_leases("q", "server") == 0
    assert await r.exists(LEASE) == 0


async def test_a_token_that_outlived_its_lease_ends_no_go_workers_lease(
    broker: RedisBroker, r: Redis
) -> None:
    await a_lease(broker)
    await r.zadd(LEASE, {"1": FUTURE_S})
    assert await broker.upkeep.end_leases("q", "server") == 0


# -- delete completed ------------------------------------------------------------------------------


async def test_an_expired_task_leaves_nothing(broker: RedisBroker, r: Redis) -> None:
    await r.hset(task_key(), mapping={"msg": "m", "unique_key": LOCK_KEY})
    await r.set(LOCK_KEY, "1")
    await r.zadd(COMPLETED, {"1": now_s()})
    assert await broker.upkeep.trim("q", limit=10) == 1
    assert await r.keys() == []


async def test_an_expired_task_leaves_the_lock_of_another(broker: RedisBroker, r: Redis) -> None:
    await r.hset(task_key(), mapping={"msg": "m", "unique_key": LOCK_KEY})
    await r.set(LOCK_KEY, "2")
    await r.zadd(COMPLETED, {"1": 1})
    await broker.upkeep.trim("q", limit=10)
    assert await r.keys() == [LOCK_KEY.encode()]


async def test_the_oldest_expired_tasks_go_first(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(COMPLETED, {"a": 3, "b": 1, "c": 2, "d": FUTURE_S})
    assert await broker.upkeep.trim("q", limit=2) == 2
    assert await scored(r, COMPLETED) == {"a": 3, "d": FUTURE_S}


# -- trim ------------------------------------------------------------------------------------------


async def test_trimming_deletes_what_is_90_days_old_with_hash_and_lock(
    broker: RedisBroker, r: Redis
) -> None:
    await r.hset(task_key(), mapping={"msg": "m", "unique_key": LOCK_KEY})
    await r.set(LOCK_KEY, "1")
    await r.zadd(ARCHIVED, {"1": now_s() - 90 * DAY_S, "2": now_s() - 90 * DAY_S + 60})
    assert await broker.upkeep.trim("q", limit=9) == 1
    assert await r.keys() == [ARCHIVED.encode()]
    assert (await scored(r, ARCHIVED)).keys() == {"2"}


async def test_trimming_goes_in_chunks_of_128(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {str(n): 1 for n in range(300)})
    assert [await broker.upkeep.trim("q", limit=9) for _ in range(4)] == [128, 128, 44, 0]


async def test_trimming_leaves_9999(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {str(n): now_s() for n in range(10_000)})
    assert [await broker.upkeep.trim("q", limit=9) for _ in range(2)] == [1, 0]
    assert await r.zcard(ARCHIVED) == 9_999


async def test_completed_and_archived_tasks_are_trimmed_together(
    broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(COMPLETED, {f"c{n}": 1 for n in range(3)})
    await r.zadd(ARCHIVED, {f"a{n}": 1 for n in range(4)})
    assert [await broker.upkeep.trim("q", limit=2) for _ in range(3)] == [6, 1, 0]


async def test_thousands_of_old_tasks_stop_no_archiving(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {str(n): 1 for n in range(9_000)})
    lease = await a_lease(broker, a_pending("new"))
    assert await settle(broker, lease, archived(lease)) is True
    assert "new" in await scored(r, ARCHIVED)


async def test_tasks_that_wait_run_or_are_kept_are_not_touched(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"), a_grouped("2"), a_scheduled("3"), a_pending("4"))
    kept, _ = await take(broker, 2)
    await settle(broker, kept, completed(kept))
    before = await everything(r)
    await broker.upkeep.forward("q")
    await broker.upkeep.expired("q")
    await broker.upkeep.end_leases("q", "another")
    await broker.upkeep.trim("q", limit=100)
    assert await everything(r) == before


# -- who does the upkeep ---------------------------------------------------------------------------

MAINTAINER = f"{Q}maintainer"
HOUR_MS = 3_600_000


async def test_only_one_server_has_something_to_do(broker: RedisBroker) -> None:
    await enqueue(broker, a_scheduled("1", at_s=PAST_S))
    mine = await broker.upkeep.look("q", server_id="me")
    yours = await broker.upkeep.look("q", server_id="you")
    assert Job.FORWARD in mine.due
    assert (yours.due, yours.next_in_s) == (set(), None)
    assert 0 < (yours.held_elsewhere_s or 0) <= 5


async def test_every_queue_has_a_server_of_its_own(broker: RedisBroker) -> None:
    await broker.upkeep.look("q", server_id="me")
    assert (await broker.upkeep.look("other", server_id="you")).held_elsewhere_s is None


async def test_a_server_in_charge_stays_so_by_looking(broker: RedisBroker, r: Redis) -> None:
    await broker.upkeep.look("q", server_id="me")
    await r.pexpire(MAINTAINER, 3000)
    await broker.upkeep.look("q", server_id="me")
    assert await r.pttl(MAINTAINER) > 3000


async def test_a_server_that_has_just_looked_writes_nothing(broker: RedisBroker, r: Redis) -> None:
    await broker.upkeep.look("q", server_id="me")
    await r.config_resetstat()
    await broker.upkeep.look("q", server_id="me")
    written = {"cmdstat_set", "cmdstat_del", "cmdstat_expire"} & {*await r.info("commandstats")}
    assert written == set()


async def test_a_silent_server_is_replaced(broker: RedisBroker, r: Redis) -> None:
    await broker.upkeep.look("q", server_id="me")
    await r.pexpire(MAINTAINER, 1)
    await wait_until(lambda: _is_in_charge(broker, "you"))


async def test_only_the_server_in_charge_can_release(broker: RedisBroker, r: Redis) -> None:
    await broker.upkeep.look("q", server_id="me")
    await broker.upkeep.release("q", server_id="you")
    assert await r.get(MAINTAINER) == b"me"


async def test_all_servers_are_notified_of_a_release(broker: RedisBroker) -> None:
    async with aclosing(cast("AsyncGenerator[News | None]", broker.registry.notices())) as notices:
        assert await anext(notices) is None
        await broker.upkeep.look("q", server_id="me")
        await broker.upkeep.release("q", server_id="me")
        assert await anext(notices) == Vacancy("q")


async def test_a_release_of_what_is_not_held_notifies_nobody(broker: RedisBroker) -> None:
    async with aclosing(cast("AsyncGenerator[News | None]", broker.registry.notices())) as notices:
        assert await anext(notices) is None
        await broker.upkeep.release("q", server_id="me")
        await broker.registry.cancel("1")
        assert await anext(notices) == "1"


@pytest.mark.parametrize(
    "lua",
    [
        'redis.call("RPUSH", KEYS[1], "wrong type")',
        'redis.call("HSET", KEYS[1], "wrong", "type") redis.call("EXPIRE", KEYS[1], 3)',
        'redis.call("SET", KEYS[1], "you")',
        f'redis.call("SET", KEYS[1], "you", "PX", {HOUR_MS})',
    ],
    ids=["list", "hash that expires", "without end", "end in an hour"],
)
async def test_a_key_that_no_server_has_written_means_nothing(
    lua: str, broker: RedisBroker, r: Redis
) -> None:
    await r.eval(lua, 1, MAINTAINER)
    assert (await broker.upkeep.look("q", server_id="me")).held_elsewhere_s is None
    assert await r.get(MAINTAINER) == b"me"
    assert 0 < await r.pttl(MAINTAINER) <= 5000


@pytest.mark.parametrize("value", [b"", b"\xff\x00", b"me/1", b"x" * 100_000])
async def test_a_strange_id_holds_the_upkeep_for_seconds_at_most(
    value: bytes, broker: RedisBroker, r: Redis
) -> None:
    await r.set(MAINTAINER, value, px=4000)
    assert 0 < ((await broker.upkeep.look("q", server_id="me")).held_elsewhere_s or 0) <= 4


async def test_a_key_of_a_wrong_type_is_not_released(broker: RedisBroker, r: Redis) -> None:
    await r.rpush(MAINTAINER, "wrong type")
    await broker.upkeep.release("q", server_id="me")
    assert await r.exists(MAINTAINER) == 1
    await r.delete(MAINTAINER)


@pytest.mark.parametrize(
    ("key", "job"),
    [
        (SCHEDULED, Job.FORWARD),
        (RETRY, Job.FORWARD),
        (LEASE, Job.RECOVER),
        (ACTIVE, Job.RECOVER),
        (COMPLETED, Job.TRIM),
        (ARCHIVED, Job.TRIM),
        (f"{Q}mail", Job.DELIVER),
        (f"{Q}aggregation_sets", Job.RECLAIM),
        (f"{Q}group_search", Job.RECLAIM),
        (f"{Q}flows", Job.LOOK_AFTER),
        (f"{Q}flows_ended", Job.LOOK_AFTER),
        (f"{Q}flow_timers", Job.LOOK_AFTER),
        (f"{Q}batches", Job.REPAIR),
    ],
)
async def test_a_job_whose_key_has_a_wrong_type_is_due_and_no_other(
    key: str, job: Job, broker: RedisBroker, r: Redis
) -> None:
    await broker.groups.reclaim("q")
    await r.delete(key)
    await r.set(key, "wrong type")
    assert (await broker.upkeep.look("q", server_id="me")).due == {job}
    await r.delete(key)


async def test_a_look_finds_a_task_without_lease(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker)
    await r.delete(LEASE)
    assert Job.RECOVER in (await broker.upkeep.look("q", server_id="me")).due


async def test_a_look_finds_an_archive_with_old_tasks(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {"young": now_s()})
    assert Job.TRIM not in (await broker.upkeep.look("q", server_id="me")).due
    await r.zadd(ARCHIVED, {"old": now_s() - 91 * DAY_S})
    assert Job.TRIM in (await broker.upkeep.look("q", server_id="me")).due


async def test_a_look_finds_an_archive_with_too_many_tasks(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {str(number): FUTURE_S for number in range(10_000)})
    assert Job.TRIM in (await broker.upkeep.look("q", server_id="me")).due


async def test_a_look_finds_mail_that_waits(broker: RedisBroker) -> None:
    lease = await a_lease(broker)
    follower = a_pending("2", queue="other")
    await settle(broker, lease, msgspec.structs.replace(DONE, then=(follower,)))
    assert Job.DELIVER in (await broker.upkeep.look("q", server_id="me")).due


async def test_a_look_finds_sets_that_nobody_holds_and_a_search_that_is_due(
    broker: RedisBroker, r: Redis
) -> None:
    assert Job.RECLAIM in (await broker.upkeep.look("q", server_id="me")).due
    await broker.groups.reclaim("q")
    assert Job.RECLAIM not in (await broker.upkeep.look("q", server_id="me")).due
    await r.zadd(f"{Q}aggregation_sets", {f"{GROUP}:{UUID}": 1})
    assert Job.RECLAIM in (await broker.upkeep.look("q", server_id="me")).due


@pytest.mark.parametrize(
    ("key", "age_s", "jobs"),
    [
        ("flows", FLOW_IDLE_S - 10, set()),
        ("flows", FLOW_IDLE_S, {Job.LOOK_AFTER}),
        ("flows_ended", -10, set()),
        ("flows_ended", 0, {Job.LOOK_AFTER}),
        ("flow_timers", -10, set()),
        ("flow_timers", 0, {Job.LOOK_AFTER}),
        ("batches", BATCH_IDLE_S - 10, set()),
        ("batches", BATCH_IDLE_S, {Job.REPAIR}),
    ],
)
async def test_a_look_finds_flows_and_batches_that_need_care(
    key: str, age_s: int, jobs: set[Job], broker: RedisBroker, r: Redis
) -> None:
    await broker.groups.reclaim("q")
    await r.zadd(f"{Q}{key}", {"-1:id": now_s() - age_s, "-1:later": FUTURE_S})
    assert (await broker.upkeep.look("q", server_id="me")).due == jobs


async def test_the_next_look_is_when_the_time_of_a_flow_is_over(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    over_s = now_s() + 100
    await r.zadd(f"{Q}flow_timers", {"-1:id": over_s})
    next_in_s = (await broker.upkeep.look("q", server_id="me")).next_in_s
    assert next_in_s is not None
    assert over_s - next_in_s in lapse


@pytest.mark.parametrize("score", ["-inf", "inf", "1e300"])
async def test_a_strange_score_does_not_break_a_look(
    score: str, broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(SCHEDULED, {"1": float(score)})
    look = await broker.upkeep.look("q", server_id="me")
    assert 0 < (look.next_in_s or 0) <= 3600


async def _is_in_charge(broker: RedisBroker, server_id: str) -> bool:
    return (await broker.upkeep.look("q", server_id=server_id)).held_elsewhere_s is None
