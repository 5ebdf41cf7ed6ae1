"""What the work port writes to Redis, byte for byte and key for key."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from pyasynq.broker import Lease
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.core.message import encode
from pyasynq.core.verdict import DONE, REQUEUE, Archive, Complete, Retry, Verdict
from tests.broker.redis.stored_keys import (
    ACTIVE,
    ARCHIVED,
    COMPLETED,
    LEASE,
    LOCK_KEY,
    PENDING,
    RETRY,
    Q,
    counters,
    everything,
    fields,
    go_takes,
    listed,
    scored,
    state,
    stored,
    task_key,
)
from tests.support.clocks import ShiftedClock
from tests.support.factories import (
    FUTURE_S,
    LEASE_S,
    LOCK,
    OWNER,
    a_lease,
    a_message,
    a_pending,
    archived,
    completed,
    dequeue,
    enqueue,
    every_verdict,
    ids,
    many_large,
    many_pending,
    retried,
    settle,
    take,
)
from tests.support.waiting import Lapse

DAY_S = 86_400
VERDICTS = ["done", "complete", "retry", "archive", "requeue"]
every_kind = pytest.mark.parametrize("kind", VERDICTS)
every_kind_that_counts = pytest.mark.parametrize("kind", VERDICTS[:-1])


def a_verdict(kind: str, lease: Lease) -> Verdict:
    verdicts: dict[str, Verdict] = {
        "done": DONE,
        "complete": completed(lease),
        "retry": retried(lease),
        "archive": archived(lease),
        "requeue": REQUEUE,
    }
    return verdicts[kind]


# -- dequeue ---------------------------------------------------------------------------------------


async def test_a_taken_task_is_active_with_lease_and_owner(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker)
    found = await fields(r)
    assert found[b"state"] == b"active"
    assert found[b"owner"].startswith(OWNER.encode())
    assert await listed(r, ACTIVE) == ["1"]
    assert (await scored(r, LEASE)).keys() == {"1"}
    assert await r.exists(PENDING) == 0


async def test_a_taken_task_is_pending_no_more_and_has_no_result_yet(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await r.hset(task_key(), "result", "of the attempt before")
    await take(broker)
    assert (await fields(r)).keys() == {b"msg", b"state", b"owner"}


@pytest.mark.parametrize("lease_s", [30, 1.5, 0.001])
async def test_a_lease_ends_at_a_whole_second_and_not_early(
    lease_s: float, broker: RedisBroker, r: Redis
) -> None:
    before = time.time()
    await a_lease(broker, lease_s=lease_s)
    score = (await scored(r, LEASE))["1"]
    assert score == int(score)
    assert before + lease_s <= score < time.time() + lease_s + 1


async def test_tasks_are_taken_from_the_right_and_put_on_the_left(
    broker: RedisBroker, r: Redis
) -> None:
    await r.rpush(PENDING, "3", "2", "1")
    for_each = [r.hset(task_key(n), "msg", encode(a_message(n))) for n in ("1", "2", "3")]
    _ = [await write for write in for_each]
    assert ids(await take(broker, 2)) == ["1", "2"]
    assert await r.lrange(PENDING, 0, -1) == [b"3"]
    assert await r.lrange(ACTIVE, 0, -1) == [b"2", b"1"]


async def test_a_paused_queue_gives_nothing_and_says_so(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending())
    await r.set(f"{Q}paused", 1)
    (result,) = await dequeue(broker, {"q": 1})
    assert (result.leases, result.paused) == ([], True)
    assert await listed(r, PENDING) == ["1"]


async def test_ids_without_a_task_are_dropped_and_counted(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending("1"))
    await r.rpush(PENDING, "missing")
    await enqueue(broker, a_pending("2"))
    (result,) = await dequeue(broker, {"q": 3})
    assert (ids(result.leases), result.missing, result.empty) == (["1", "2"], 1, False)
    assert await r.exists(PENDING, task_key("missing")) == 0
    assert await listed(r, ACTIVE) == ["1", "2"]


async def test_a_task_that_is_not_taken_stays_as_it_is(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, *many_large(3))
    await r.rpush(PENDING, "missing")
    before = await r.dump(task_key("2"))
    (result,) = await dequeue(broker, {"q": 4})
    assert (ids(result.leases), result.missing) == (["0", "1"], 1)
    assert await listed(r, PENDING) == ["2"]
    assert await r.dump(task_key("2")) == before


async def test_an_id_that_is_there_twice_is_taken_once(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await r.lpush(PENDING, "1")
    (result,) = await dequeue(broker, {"q": 3})
    assert (ids(result.leases), result.missing) == (["1", "2"], 1)
    assert await listed(r, ACTIVE) == ["1", "2"]


async def test_a_hash_without_message_is_no_task(broker: RedisBroker, r: Redis) -> None:
    await r.hset(task_key("half"), "state", "pending")
    await r.rpush(PENDING, "half")
    (result,) = await dequeue(broker, {"q": 1})
    assert (result.leases, result.missing) == ([], 1)
    assert await r.exists(ACTIVE, LEASE) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff",
        encode(a_message("other")),
        encode(a_message("bad", queue="other")),
        encode(a_message("")),
    ],
    ids=["no bytes", "no message", "another id", "another queue", "no id"],
)
async def test_poison_is_set_aside_and_hides_no_other_task(
    data: bytes, broker: RedisBroker, r: Redis
) -> None:
    await r.hset(task_key("bad"), "msg", data)
    await r.rpush(PENDING, "bad")
    await enqueue(broker, a_pending("1"))
    (result,) = await dequeue(broker, {"q": 2})
    assert (ids(result.leases), ids(result.poison)) == (["1"], ["bad"])
    assert [(lease.queue, lease.message.type) for lease in result.poison] == [("q", "")]


async def test_poison_is_archived_as_it_is(broker: RedisBroker, r: Redis) -> None:
    await r.hset(task_key("bad"), "msg", b"\xff\xff\xff")
    await r.rpush(PENDING, "bad")
    (result,) = await dequeue(broker, {"q": 1})
    assert await settle(broker, result.poison[0], Archive(message=None)) is True
    assert (await scored(r, ARCHIVED)).keys() == {"bad"}
    assert await fields(r, "bad") == {b"msg": b"\xff\xff\xff", b"state": b"archived"}


async def test_an_id_that_is_no_text_hides_no_other_task(broker: RedisBroker, r: Redis) -> None:
    await r.hset(b"asynq:{q}:t:\xff", "msg", b"\xff")
    await r.rpush(PENDING, b"\xff")
    await enqueue(broker, a_pending("1"))
    (result,) = await dequeue(broker, {"q": 2})
    assert ids(result.leases) == ["1"]
    assert await settle(broker, result.poison[0], Archive(message=None)) is True
    assert await r.zrange(ARCHIVED, 0, -1) == [b"\xff"]


async def test_fields_that_a_peer_added_survive(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending())
    await r.hset(task_key(), "theirs", "x")
    (lease,) = await take(broker)
    await settle(broker, lease, retried(lease))
    assert (await fields(r))[b"theirs"] == b"x"


# -- done ------------------------------------------------------------------------------------------


async def test_a_task_that_is_done_leaves_nothing_but_its_count(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    await settle(broker, lease, DONE)
    assert await counters(r) == {"processed": 1, "processed:today": 1}
    assert len(await r.keys()) == len({"queues", "processed", "processed:today"})


# -- complete --------------------------------------------------------------------------------------


async def test_a_completed_task_is_kept_until_its_retention_is_over(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    verdict = completed(lease)
    await settle(broker, lease, verdict)
    found = await fields(r)
    assert found.keys() == {b"msg", b"state", b"unique_key"}
    assert found[b"state"] == b"completed"
    assert await stored(r) == verdict.message
    score = (await scored(r, COMPLETED))["1"]
    assert 0 <= score - verdict.expires_at.timestamp() < 1
    assert score == int(score)


async def test_a_completed_task_is_active_no_more_and_counts(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    await settle(broker, lease, completed(lease))
    assert await r.exists(ACTIVE, LEASE, LOCK_KEY) == 0
    assert await counters(r) == {"processed": 1, "processed:today": 1}


async def test_a_completed_task_keeps_its_result(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await broker.work.write_result(lease, b"sent")
    await settle(broker, lease, completed(lease))
    assert (await fields(r))[b"result"] == b"sent"


# -- retry -----------------------------------------------------------------------------------------


async def test_a_task_to_be_retried_waits_until_a_whole_second_and_not_less(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    verdict = retried(lease)
    await settle(broker, lease, verdict)
    score = (await scored(r, RETRY))["1"]
    assert 0 <= score - verdict.at.timestamp() < 1
    assert score == int(score)
    assert await fields(r) == {b"msg": encode(verdict.message), b"state": b"retry"}
    assert await r.exists(ACTIVE, LEASE) == 0


async def test_a_failure_counts_as_processed_and_failed(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease))
    assert await counters(r) == {
        "processed": 1,
        "processed:today": 1,
        "failed": 1,
        "failed:today": 1,
    }


async def test_a_retry_that_is_no_failure_is_not_counted(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease, failed=False))
    assert await counters(r) == {}


async def test_a_batch_of_retries_counts_its_failures_alone(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, *many_pending(3))
    one, two, three = await take(broker, 3)
    await broker.work.settle(
        [(one, retried(one)), (two, retried(two, failed=False)), (three, retried(three))]
    )
    assert await counters(r) == {
        "processed": 2,
        "processed:today": 2,
        "failed": 2,
        "failed:today": 2,
    }


# -- archive ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["complete", "archive"])
async def test_a_task_that_has_ended_has_no_run_history(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await r.hset(task_key(), mapping={"crashes": 2, "unknown_since": 1})
    await settle(broker, lease, a_verdict(kind, lease))
    assert (await fields(r)).keys() == {b"msg", b"state"}


async def test_a_task_that_waits_for_a_worker_that_knows_it_keeps_since_when(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await r.hset(task_key(), "unknown_since", 7)
    at = datetime.now(UTC)
    await settle(broker, lease, Retry(message=lease.message, at=at, failed=False, unknown=True))
    assert (await fields(r))[b"unknown_since"] == b"7"


@pytest.mark.parametrize("value", ["", "x", "-1", "nan", "inf", "1e300"])
async def test_a_run_history_that_makes_no_sense_is_ignored(
    value: str, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await r.hset(task_key(), mapping={"owner": "", "crashes": value, "unknown_since": value})
    (lease,) = await take(broker)
    assert lease.crashes == 0
    assert lease.unknown_s is not None


async def test_a_run_history_ends_once_a_worker_that_does_not_know_it_has_spent_a_retry(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await r.hset(task_key(), mapping={"owner": "", "crashes": 2, "unknown_since": 1})
    await r.hset(task_key(), "past_retried", 3)
    (lease,) = await take(broker, lease_s=-1)
    await broker.work.mark_started(lease)
    (lost,) = (await broker.upkeep.expired("q")).leases
    assert (lease.crashes, lease.unknown_s, lost.crashes) == (0, None, 0)


async def test_a_run_history_counts_while_no_other_retry_has_been_spent(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    at = datetime(2001, 9, 9, tzinfo=UTC)
    await settle(broker, lease, Retry(message=lease.message, at=at, failed=True, crashes=2))
    await broker.upkeep.forward("q")
    (lease,) = await take(broker)
    assert (lease.crashes, (await fields(r))[b"past_retried"]) == (2, b"0")


async def test_an_archived_task_stands_at_the_second_it_was_archived(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    lease = await a_lease(broker)
    verdict = archived(lease)
    await settle(broker, lease, verdict)
    score = (await scored(r, ARCHIVED))["1"]
    assert score == int(score)
    assert score in lapse
    assert verdict.message is not None
    assert await fields(r) == {b"msg": encode(verdict.message), b"state": b"archived"}
    assert await r.exists(ACTIVE, LEASE) == 0


async def test_an_archived_task_counts_as_processed_and_failed(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await counters(r) == {
        "processed": 1,
        "processed:today": 1,
        "failed": 1,
        "failed:today": 1,
    }


async def fill_archive(r: Redis, count: int, *, score: float, name: str = "old") -> None:
    """Archive *count* tasks with hashes and locks."""
    names = [f"{name}-{n:05}" for n in range(count)]
    pipeline = r.pipeline(transaction=False)
    pipeline.zadd(ARCHIVED, {name: score + n * 1e-9 // 1 for n, name in enumerate(names)})
    for each in names:
        lock = f"{Q}unique:t:{each}"
        pipeline.hset(task_key(each), mapping={"msg": "m", "unique_key": lock})
        pipeline.set(lock, each)
    await pipeline.execute()


async def left(r: Redis, *, name: str = "old") -> tuple[int, int]:
    """Return the number of hashes and locks of archived tasks."""
    return len(await r.keys(task_key(f"{name}-*"))), len(await r.keys(f"{Q}unique:t:{name}-*"))


async def test_archiving_deletes_what_is_90_days_old_with_hash_and_lock(
    broker: RedisBroker, r: Redis
) -> None:
    await fill_archive(r, 3, score=int(time.time()) - 90 * DAY_S)
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert (await scored(r, ARCHIVED)).keys() == {"1"}
    assert await left(r) == (0, 0)


async def test_archiving_keeps_what_is_not_90_days_old(broker: RedisBroker, r: Redis) -> None:
    await fill_archive(r, 3, score=int(time.time()) - 90 * DAY_S + 60)
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await r.zcard(ARCHIVED) == 4
    assert await left(r) == (3, 3)


async def test_archiving_deletes_old_tasks_at_most_128_at_a_time(
    broker: RedisBroker, r: Redis
) -> None:
    await fill_archive(r, 200, score=1)
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await r.zcard(ARCHIVED) == 200 - 128 + 1
    assert await left(r) == (72, 72)


async def test_the_archive_holds_9999_tasks(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {f"a{n}": int(time.time()) - 60 for n in range(9_998)})
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await r.zcard(ARCHIVED) == 9_999


async def test_the_oldest_give_way_when_the_archive_is_full(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {f"a{n}": int(time.time()) - 60 for n in range(9_997)})
    await fill_archive(r, 2, score=int(time.time()) - 120)
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await r.zcard(ARCHIVED) == 9_999
    assert await left(r) == (1, 1)


async def test_a_batch_makes_room_for_itself(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(ARCHIVED, {f"a{n}": int(time.time()) - 60 for n in range(9_999)})
    await enqueue(broker, *many_pending(100))
    leases = await take(broker, 100)
    await broker.work.settle([(lease, archived(lease)) for lease in leases])
    assert await r.zcard(ARCHIVED) == 9_999
    assert (await scored(r, ARCHIVED)).keys() >= set(ids(leases))


async def test_a_lock_that_another_task_holds_outlives_the_archived_one(
    broker: RedisBroker, r: Redis
) -> None:
    await fill_archive(r, 1, score=1)
    await r.set(f"{Q}unique:t:old-00000", "another")
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await left(r) == (0, 1)


# -- requeue ---------------------------------------------------------------------------------------


async def test_a_requeued_task_is_as_if_it_had_not_been_taken(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1", lock=LOCK))
    await enqueue(broker, a_pending("2"))
    before = await stored(r)
    (lease,) = await take(broker)
    await settle(broker, lease, REQUEUE)
    assert await listed(r, PENDING) == ["1", "2"]
    found = await fields(r)
    assert found.keys() == {b"msg", b"state", b"pending_since", b"unique_key"}
    assert found[b"state"] == b"pending"
    assert await stored(r) == before
    assert await r.exists(ACTIVE, LEASE) == 0
    assert await counters(r) == {}


# -- every verdict ---------------------------------------------------------------------------------


@every_kind
async def test_the_token_goes_with_the_lease(kind: str, broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, a_verdict(kind, lease))
    assert b"owner" not in await fields(r)


@every_kind
async def test_a_worker_with_another_token_changes_nothing(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    await r.hset(task_key(), "owner", "another")
    before = await everything(r)
    assert await settle(broker, lease, a_verdict(kind, lease)) is False
    assert await everything(r) == before


@every_kind
async def test_a_worker_whose_lease_is_gone_changes_nothing(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    await r.zrem(LEASE, "1")
    before = await everything(r)
    assert await settle(broker, lease, a_verdict(kind, lease)) is False
    assert await everything(r) == before


@every_kind
async def test_a_worker_whose_lease_is_over_but_there_is_accepted(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    """As in asynq: until a recoverer settles the task, its worker still holds it."""
    lease = await a_lease(broker, lease_s=-5)
    assert await settle(broker, lease, a_verdict(kind, lease)) is True


@every_kind
async def test_a_recoverer_settles_what_a_go_worker_took_and_lost(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    await go_takes(r, lease_ends_s=1)
    (lease,) = (await broker.upkeep.expired("q")).leases
    assert await settle(broker, lease, a_verdict(kind, lease)) is True


@every_kind
async def test_a_recoverer_changes_nothing_that_a_worker_holds(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    await go_takes(r, lease_ends_s=1)
    (lease,) = (await broker.upkeep.expired("q")).leases
    await r.zadd(LEASE, {"1": FUTURE_S})
    before = await everything(r)
    assert await settle(broker, lease, a_verdict(kind, lease)) is False
    assert await everything(r) == before


@every_kind
async def test_a_worker_that_was_taken_for_dead_changes_nothing_of_a_go_workers_run(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    """Go leaves our owner token in the hash when it recovers a task and takes it again."""
    stale = await a_lease(broker)
    await r.zadd(LEASE, {"1": FUTURE_S})
    before = await everything(r)
    assert await settle(broker, stale, a_verdict(kind, stale)) is False
    assert await everything(r) == before


@pytest.mark.parametrize("kind", ["done", "complete"])
async def test_success_releases_only_its_own_lock(kind: str, broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    await r.set(LOCK_KEY, "another")
    await settle(broker, lease, a_verdict(kind, lease))
    assert await r.get(LOCK_KEY) == b"another"


@pytest.mark.parametrize("kind", ["retry", "archive", "requeue"])
async def test_a_task_that_is_not_over_keeps_its_lock(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, a_pending(lock=LOCK))
    await settle(broker, lease, a_verdict(kind, lease))
    assert await r.get(LOCK_KEY) == b"1"


async def test_a_batch_settles_what_is_held_and_leaves_the_rest(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, *many_pending(3))
    leases = await take(broker, 3)
    await r.hset(task_key("1"), "owner", "another")
    answers = await broker.work.settle([(lease, DONE) for lease in leases])
    assert answers == [True, False, True]
    assert await listed(r, ACTIVE) == ["1"]
    assert await counters(r) == {"processed": 1 + 1, "processed:today": 1 + 1}


async def test_five_verdicts_put_five_tasks_in_five_places(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, *many_pending(5))
    await broker.work.settle(every_verdict(await take(broker, 5)))
    assert [await state(r, str(n)) for n in range(5)] == [
        None,
        b"completed",
        b"retry",
        b"archived",
        b"pending",
    ]
    assert await counters(r) == {
        "processed": 4,
        "processed:today": 4,
        "failed": 2,
        "failed:today": 2,
    }


# -- counters --------------------------------------------------------------------------------------


@every_kind_that_counts
async def test_the_counters_of_a_day_end_after_90_days(
    kind: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, a_verdict(kind, lease))
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    assert 90 * DAY_S - 5 < await r.ttl(f"{Q}processed:{day}") <= 90 * DAY_S
    assert await r.ttl(f"{Q}processed") == -1


async def test_a_failure_counter_of_a_day_ends_after_90_days(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    assert 90 * DAY_S - 5 < await r.ttl(f"{Q}failed:{day}") <= 90 * DAY_S


async def test_the_end_of_a_days_counter_is_set_once(broker: RedisBroker, r: Redis) -> None:
    await settle(broker, await a_lease(broker), DONE)
    day = f"{Q}processed:{datetime.now(UTC):%Y-%m-%d}"
    await r.expire(day, 100)
    await settle(broker, await a_lease(broker), DONE)
    assert await r.get(day) == b"2"
    assert await r.ttl(day) <= 100


async def test_the_totals_start_again_at_the_largest_number(broker: RedisBroker, r: Redis) -> None:
    await r.mset({f"{Q}processed": 2**63 - 1, f"{Q}failed": 7})
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease))
    assert await r.mget(f"{Q}processed", f"{Q}failed") == [b"1", b"1"]


async def test_damaged_counters_keep_no_task_from_being_settled(
    broker: RedisBroker, r: Redis
) -> None:
    await r.mset({f"{Q}processed": "x", f"{Q}failed": "y"})
    lease = await a_lease(broker)
    assert await settle(broker, lease, retried(lease)) is True
    assert await r.mget(f"{Q}processed", f"{Q}failed") == [b"x", b"y"]


# -- extend ----------------------------------------------------------------------------------------


async def test_an_extended_lease_ends_at_a_whole_second_and_not_early(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, lease_s=1)
    before = time.time()
    await broker.work.extend([lease], lease_s=LEASE_S)
    score = (await scored(r, LEASE))["1"]
    assert score == int(score)
    assert before + LEASE_S <= score < time.time() + LEASE_S + 1


async def test_extending_adds_no_lease_that_is_gone(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await r.zrem(LEASE, "1")
    assert await broker.work.extend([lease], lease_s=LEASE_S) == [False]
    assert await r.exists(LEASE) == 0


async def test_extending_changes_no_lease_of_another(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker, lease_s=5)
    await r.hset(task_key(), "owner", "another")
    before = await everything(r)
    assert await broker.work.extend([lease], lease_s=LEASE_S) == [False]
    assert await everything(r) == before


async def test_a_task_that_runs_and_waits_for_its_retry_does_not_prolong_its_lock(
    broker: RedisBroker, r: Redis
) -> None:
    """As in asynq."""
    await enqueue(broker, a_pending(lock=LOCK))
    await r.expire(LOCK_KEY, 10)
    (lease,) = await take(broker)
    await broker.work.extend([lease], lease_s=LEASE_S)
    await settle(broker, lease, retried(lease))
    assert 0 < await r.ttl(LOCK_KEY) <= 10


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [b"", b"sent", b"\x00\xff", bytes(100_000)], ids=len)
async def test_a_result_stands_beside_the_task(
    result: bytes, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    assert await broker.work.write_result(lease, result)
    assert (await fields(r))[b"result"] == result


async def test_a_second_result_replaces_the_first(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await broker.work.write_result(lease, b"first")
    await broker.work.write_result(lease, b"second")
    assert (await fields(r))[b"result"] == b"second"


async def test_a_late_result_makes_no_hash(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, DONE)
    await broker.work.write_result(lease, b"late")
    assert await r.exists(task_key()) == 0


# -- times -----------------------------------------------------------------------------------------


async def test_a_time_that_is_a_whole_second_is_not_rounded_up(
    broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    at = datetime(2030, 1, 1, tzinfo=UTC)
    await settle(broker, lease, Retry(message=lease.message, at=at, failed=True))
    assert await scored(r, RETRY) == {"1": at.timestamp()}


async def test_a_time_beyond_a_whole_second_is_rounded_up(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker)
    at = datetime(2030, 1, 1, tzinfo=UTC)
    late = at + timedelta(milliseconds=1)
    await settle(broker, lease, Retry(message=lease.message, at=late, failed=True))
    assert await scored(r, RETRY) == {"1": at.timestamp() + 1}


# -- clocks that are wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("container", [RETRY, COMPLETED])
async def test_a_worker_whose_clock_is_wrong_lets_tasks_wait_as_long_as_any(
    hours: int, container: str, redis_url: str, r: Redis, lapse: Lapse
) -> None:
    clock = ShiftedClock(wall=timedelta(hours=hours))
    broker = connect(redis_url, clock)
    lease = await a_lease(broker)
    in_a_minute = clock.now() + timedelta(minutes=1)
    verdicts: dict[str, Verdict] = {
        RETRY: Retry(message=lease.message, at=in_a_minute, failed=True),
        COMPLETED: Complete(message=lease.message, expires_at=in_a_minute),
    }
    await settle(broker, lease, verdicts[container])
    await broker.aclose()
    ((_, at_s),) = (await scored(r, container)).items()
    assert at_s - 60 in lapse
