"""A script that fails has written nothing, and in a full Redis tasks can still be settled."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias, cast

import msgspec
import pytest
from redis.asyncio import Redis

from pyasynq.broker import (
    Container,
    GroupedTask,
    GroupRules,
    Lease,
    RemoveResult,
    TaskCopy,
    Token,
    UpdateResult,
)
from pyasynq.broker.redis import RedisBroker, connect, pipeline
from pyasynq.broker.redis.lua import mail as mail_scripts
from pyasynq.broker.redis.lua import upkeep as scripts
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, BrokerFullError
from pyasynq.core.message import encode
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import DONE, REQUEUE, Verdict
from tests.broker.redis.stored_keys import (
    ACTIVE,
    ARCHIVED,
    COMPLETED,
    GROUP,
    GROUPS,
    LEASE,
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
    GROUP_SET,
    LEASE_S,
    PAST_S,
    a_grouped,
    a_lease,
    a_message,
    a_pending,
    a_scheduled,
    a_server,
    archived,
    combine,
    completed,
    create,
    dequeue,
    enqueue,
    ids,
    many_pending,
    retried,
    settle,
    take,
)
from tests.support.servers import RedisServer

Act: TypeAlias = Callable[[RedisBroker, Lease], Awaitable[object]]


async def _enqueue(broker: RedisBroker, _lease: Lease) -> object:
    return (await create(broker, [a_pending("8"), a_pending("9")]))[0]


async def _schedule(broker: RedisBroker, _lease: Lease) -> object:
    return (await create(broker, [a_scheduled("8"), a_scheduled("9")]))[0]


async def _group(broker: RedisBroker, _lease: Lease) -> object:
    return (await create(broker, [a_grouped("8"), a_grouped("9")]))[0]


async def _dequeue(broker: RedisBroker, _lease: Lease) -> object:
    (result,) = await broker.work.dequeue({"q": 5}, owner="server/2", lease_s=LEASE_S)
    return result.error or result


async def _done(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, DONE)


async def _complete(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, completed(lease))


async def _retry(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, retried(lease))


async def _archive(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, archived(lease))


FOLLOWERS = (a_pending("8"), a_scheduled("9"), a_grouped("10"), a_pending("11", queue="r"))


async def _done_followed(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, msgspec.structs.replace(DONE, then=FOLLOWERS))


async def _complete_followed(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, msgspec.structs.replace(completed(lease), then=FOLLOWERS))


async def _archive_followed(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, msgspec.structs.replace(archived(lease), then=FOLLOWERS))


async def _deliver(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.mail.deliver("q")


async def _letters(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.mail.letters("q", 0, 5)


async def _delete_mail(broker: RedisBroker, _lease: Lease) -> object:
    call = mail_scripts.delete_mail(["letter"], mail=MAIL, mail_bodies=BODIES)
    return await pipeline.run(cast("Any", broker)._driver, call)


async def _requeue(broker: RedisBroker, lease: Lease) -> object:
    return await settle(broker, lease, REQUEUE)


async def _extend(broker: RedisBroker, lease: Lease) -> object:
    (answer,) = await broker.work.extend([lease], lease_s=LEASE_S)
    return answer


async def _result(broker: RedisBroker, lease: Lease) -> object:
    return await broker.work.write_result(lease, b"sent")


async def _forward(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.upkeep.forward("q")


async def _expired(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.upkeep.expired("q")


# One call of a port may run several scripts; these test each script by itself.


async def _repair(broker: RedisBroker, _lease: Lease) -> object:
    return await cast("Any", broker.upkeep)._scan(scripts.repair_leases, "q")


async def _end_leases(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.upkeep.end_leases("q", "server")


async def _expire(broker: RedisBroker, _lease: Lease) -> object:
    return await cast("Any", broker.upkeep)._delete_completed("q", 10)


async def _trim(broker: RedisBroker, _lease: Lease) -> object:
    return await cast("Any", broker.upkeep)._trim_archived("q")


MAIL, BODIES = f"{Q}mail", f"{Q}mail_bodies"
STALE = f"{GROUP}:{GROUP_SET.id}"
SETS = f"{Q}aggregation_sets"


async def _ready(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.groups.ready("q", GroupRules(grace_s=1), server_id="me")


async def _stage(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.groups.stage("q", "g", GroupRules(grace_s=1, max_size=1))


async def _read_set(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.groups.read_set(GROUP_SET)


async def _hold_set(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.groups.hold_set(GROUP_SET)


async def _combine(broker: RedisBroker, _lease: Lease) -> object:
    return await combine(broker, GROUP_SET, a_grouped("combined")) or 1


async def _postpone(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.groups.postpone(GROUP_SET, [], wait_s=0)


async def _archive_grouped(broker: RedisBroker, _lease: Lease) -> object:
    task = GroupedTask(id="staged", message=a_message("staged"), failures=5)
    return await broker.groups.archive(GROUP_SET, [task])


async def _unstage(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.groups.unstage(GROUP_SET)


async def _reclaim(broker: RedisBroker, _lease: Lease) -> object:
    return await cast("Any", broker.groups)._put_back_all("q")


async def _search(broker: RedisBroker, _lease: Lease) -> object:
    return await cast("Any", broker.groups)._search("q")


async def _read_copies(broker: RedisBroker, _lease: Lease) -> object:
    return await broker.transfers.read(Container(queue="q", state=TaskState.RETRY), 0, 5)


async def _write_copies(broker: RedisBroker, _lease: Lease) -> object:
    copies = [TaskCopy(message=a_message("8"), at_s=1), TaskCopy(message=a_message("9"), at_s=2)]
    container = Container(queue="q", state=TaskState.AGGREGATING, group="g")
    return await broker.transfers.write(container, copies)


async def _write_pending_copies(broker: RedisBroker, _lease: Lease) -> object:
    container = Container(queue="q", state=TaskState.PENDING)
    return await broker.transfers.write(container, [TaskCopy(message=a_message("8"))])


# The keys that each reads or writes.
TOUCHED: dict[Act, list[str]] = {
    _enqueue: [PENDING],
    _schedule: [SCHEDULED],
    _group: [GROUPS, GROUP],
    _dequeue: [PENDING, ACTIVE, LEASE],
    _done: [ACTIVE, LEASE],
    _complete: [ACTIVE, LEASE, COMPLETED],
    _retry: [ACTIVE, LEASE, RETRY],
    _archive: [ACTIVE, LEASE, ARCHIVED],
    _requeue: [ACTIVE, LEASE, PENDING],
    _done_followed: [ACTIVE, LEASE, MAIL, BODIES],
    _complete_followed: [ACTIVE, LEASE, COMPLETED, MAIL, BODIES],
    _archive_followed: [ACTIVE, LEASE, ARCHIVED, MAIL, BODIES],
    _deliver: [MAIL, BODIES],
    _letters: [MAIL, BODIES],
    _delete_mail: [MAIL, BODIES],
    _extend: [ACTIVE, LEASE],
    _result: [LEASE],
    _forward: [PENDING, GROUPS],
    _expired: [ACTIVE, LEASE],
    _repair: [ACTIVE, LEASE],
    _end_leases: [ACTIVE, LEASE],
    _expire: [COMPLETED],
    _trim: [ARCHIVED],
    _ready: [GROUPS],
    _stage: [GROUPS, GROUP, SETS],
    _read_set: [SETS, STALE],
    _hold_set: [SETS],
    _combine: [GROUPS, GROUP, SETS, STALE],
    _postpone: [SETS, STALE],
    _archive_grouped: [SETS, STALE, ARCHIVED],
    _unstage: [GROUPS, GROUP, SETS],
    _reclaim: [GROUPS, SETS],
    _search: [GROUPS, SETS, f"{Q}group_search"],
    _read_copies: [RETRY, GROUPS],
    _write_copies: [GROUPS, GROUP],
    _write_pending_copies: [PENDING],
}
PAIRS = [(act, key) for act, keys in TOUCHED.items() for key in keys]
FOLLOWED = [_done_followed, _complete_followed, _archive_followed]
SETTLES = [_done, _complete, _retry, _archive, _requeue, *FOLLOWED]


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value)).removeprefix(Q).strip("_")


@pytest.fixture
async def lease(broker: RedisBroker, r: Redis) -> Lease:
    """Return a lease in a queue where every container holds a task that is due."""
    await go_takes(r, "zombie", lease_ends_s=1)
    await r.delete(task_key("zombie"))
    await go_takes(r, "lost", lease_ends_s=FUTURE_S)
    await r.zrem(LEASE, "lost")
    held = await a_lease(broker, a_pending("held"))
    await enqueue(
        broker,
        a_pending("pending"),
        a_scheduled("due", at_s=PAST_S),
        a_scheduled("due in group", at_s=PAST_S, group_key="g"),
        a_grouped("grouped"),
        a_grouped("staged"),
    )
    await r.zrem(GROUP, "staged")
    await r.zadd(STALE, {"staged": 1})
    await r.zadd(SETS, {STALE: 1})
    await r.zadd(MAIL, {"letter": 1})
    await r.hset(BODIES, "letter", "1:")
    for_each = [(RETRY, "retry"), (COMPLETED, "completed"), (ARCHIVED, "archived")]
    _ = [await r.zadd(key, {name: 1}) for key, name in for_each]
    _ = [await r.hset(task_key(name), "msg", encode(a_message(name))) for _, name in for_each]
    return held


async def break_key(r: Redis, key: str) -> None:
    """Replace *key* by a string, which no container is."""
    await r.delete(key)
    await r.set(key, "wrong type")


async def error_of(act: Act, broker: RedisBroker, lease: Lease) -> object:
    """Return the error that *act* raises or returns."""
    try:
        return await act(broker, lease)
    except BrokerError as error:
        return error


@pytest.mark.parametrize(("act", "key"), PAIRS, ids=name_of)
async def test_a_script_that_meets_a_key_of_a_wrong_type_writes_nothing(
    act: Act, key: str, broker: RedisBroker, r: Redis, lease: Lease
) -> None:
    await break_key(r, key)
    before = await everything(r)
    error = await error_of(act, broker, lease)
    after = await everything(r)
    await r.flushall()
    assert isinstance(error, BrokerError)
    assert "WRONGTYPE" in str(error)
    assert after == before


async def test_forwarding_into_a_group_of_a_wrong_type_writes_nothing(
    broker: RedisBroker, r: Redis, lease: Lease
) -> None:
    await break_key(r, GROUP)
    await r.delete(RETRY)
    before = await everything(r)
    error = await error_of(_forward, broker, lease)
    after = await everything(r)
    await r.flushall()
    assert isinstance(error, BrokerError)
    assert after == before


@pytest.mark.parametrize("act", SETTLES, ids=name_of)
async def test_a_held_task_of_a_wrong_type_is_not_held(
    act: Act, broker: RedisBroker, r: Redis, lease: Lease
) -> None:
    await break_key(r, task_key("held"))
    before = await everything(r)
    answer = await act(broker, lease)
    after = await everything(r)
    await r.flushall()
    assert (answer, after) == (False, before)


async def test_extending_a_task_of_a_wrong_type_loses_it(
    broker: RedisBroker, r: Redis, lease: Lease
) -> None:
    await break_key(r, task_key("held"))
    before = await everything(r)
    answer = await _extend(broker, lease)
    after = await everything(r)
    await r.flushall()
    assert (answer, after) == (False, before)


async def test_a_result_for_a_task_of_a_wrong_type_is_refused(
    broker: RedisBroker, r: Redis, lease: Lease
) -> None:
    await break_key(r, task_key("held"))
    before = await everything(r)
    answer = await _result(broker, lease)
    after = await everything(r)
    await r.flushall()
    assert (answer, after) == (False, before)


async def test_a_pending_task_of_a_wrong_type_is_dropped_and_hides_no_other(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await break_key(r, task_key("1"))
    (result,) = await dequeue(broker, {"q": 2})
    await r.delete(task_key("1"))
    assert (ids(result.leases), result.missing) == (["2"], 1)


async def test_a_due_task_of_a_wrong_type_is_dropped_and_hides_no_other(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_scheduled("1", at_s=PAST_S), a_scheduled("2", at_s=PAST_S))
    await break_key(r, task_key("1"))
    await broker.upkeep.forward("q")
    await r.delete(task_key("1"))
    assert await listed(r, PENDING) == ["2"]
    assert await r.exists(SCHEDULED) == 0


async def test_a_lost_task_of_a_wrong_type_is_dropped(broker: RedisBroker, r: Redis) -> None:
    await a_lease(broker, lease_s=-1)
    await break_key(r, task_key())
    expired = (await broker.upkeep.expired("q")).leases
    await r.delete(task_key())
    assert expired == []
    assert await r.exists(ACTIVE, LEASE) == 0


async def test_archived_and_completed_tasks_of_a_wrong_type_are_deleted(
    broker: RedisBroker, r: Redis
) -> None:
    await r.mset({task_key("1"): "wrong type", task_key("2"): "wrong type"})
    await r.zadd(ARCHIVED, {"1": 1})
    await r.zadd(COMPLETED, {"2": 1})
    assert await broker.upkeep.trim("q", limit=1) == 2
    assert await r.keys() == []


@pytest.mark.parametrize("counter", ["processed", "failed"])
async def test_counters_of_a_wrong_type_keep_no_task_from_being_settled(
    counter: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await r.rpush(f"{Q}{counter}", "wrong type")
    answer = await settle(broker, lease, retried(lease))
    await r.delete(f"{Q}{counter}")
    assert answer is True
    assert await state(r) == b"retry"


async def test_of_a_batch_into_groups_of_which_one_is_broken_the_others_are_written(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("known"))
    await break_key(r, GROUP)
    answers = await create(broker, [a_grouped("1", group="sound"), a_grouped("2")])
    left = await everything(r)
    await r.flushall()
    assert [type(answer) for answer in answers] == [type(None), BrokerError]
    assert task_key("1").encode() in left
    assert task_key("2").encode() not in left


# -- a full Redis ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def full(server: RedisServer) -> AsyncIterator[Redis]:
    """Yield a client of a Redis that a test makes full with `fill`."""
    async with Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def broker_of_full(server: RedisServer) -> AsyncIterator[RedisBroker]:
    broker = connect(server.url)
    yield broker
    await broker.aclose()


async def fill(full: Redis) -> None:
    """Make Redis refuse new data."""
    await full.config_set("maxmemory", "1")


@pytest.mark.parametrize(
    "plan",
    [a_pending("2"), a_scheduled("2"), a_grouped("2")],
    ids=["pending", "scheduled", "group"],
)
async def test_a_full_redis_refuses_a_task_and_writes_nothing(
    plan: Plan, broker_of_full: RedisBroker, full: Redis
) -> None:
    await enqueue(broker_of_full, a_pending("1"))
    before = await everything(full)
    await fill(full)
    (answer,) = await create(broker_of_full, [plan])
    assert isinstance(answer, BrokerFullError)
    assert await everything(full) == before


async def test_a_full_redis_refuses_a_batch_task_by_task(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await fill(full)
    answers = await create(broker_of_full, [a_pending("1"), a_scheduled("2")])
    assert [type(answer) for answer in answers] == [BrokerFullError] * 2


async def test_a_full_redis_gives_tasks(broker_of_full: RedisBroker, full: Redis) -> None:
    await enqueue(broker_of_full, *many_pending(3))
    await fill(full)
    assert ids(await take(broker_of_full, 3)) == ["0", "1", "2"]


async def test_a_full_redis_extends_leases(broker_of_full: RedisBroker, full: Redis) -> None:
    lease = await a_lease(broker_of_full, lease_s=1)
    before = await scored(full, LEASE)
    await fill(full)
    assert await broker_of_full.work.extend([lease], lease_s=LEASE_S) == [True]
    assert (await scored(full, LEASE))["1"] > before["1"] + 20


@pytest.mark.parametrize("act", SETTLES, ids=name_of)
async def test_a_full_redis_hears_every_verdict(
    act: Act, broker_of_full: RedisBroker, full: Redis
) -> None:
    lease = await a_lease(broker_of_full)
    await fill(full)
    assert await act(broker_of_full, lease) is True
    assert await full.exists(ACTIVE, LEASE) == 0


@pytest.mark.parametrize("act", FOLLOWED, ids=name_of)
async def test_a_full_redis_creates_the_tasks_that_follow(
    act: Act, broker_of_full: RedisBroker, full: Redis
) -> None:
    lease = await a_lease(broker_of_full)
    await fill(full)
    assert await act(broker_of_full, lease) is True
    assert (await listed(full, PENDING), await scored(full, SCHEDULED)) == (["8"], {"9": FUTURE_S})
    assert (len(await scored(full, GROUP)), len(await scored(full, MAIL))) == (1, 1)


async def test_mail_waits_while_redis_is_full(broker_of_full: RedisBroker, full: Redis) -> None:
    await _done_followed(broker_of_full, await a_lease(broker_of_full))
    await fill(full)
    with pytest.raises(BrokerFullError):
        await broker_of_full.mail.deliver("q")
    await full.config_set("maxmemory", "0")
    (letter,) = await scored(full, MAIL)
    await full.zadd(MAIL, {letter: 0})
    await broker_of_full.mail.deliver("q")
    assert ids(await take(broker_of_full, queue="r")) == ["11"]


async def test_a_full_redis_gives_and_renews_tokens(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await fill(full)
    token = Token(scope="s", holder="a")
    assert await broker_of_full.semaphores.acquire(token, limit=1, lease_s=3)
    first_s = token.ends_s
    assert await broker_of_full.semaphores.renew([token], lease_s=60) == []
    assert token.ends_s > first_s + 50
    assert await broker_of_full.semaphores.release(token)


async def test_a_full_redis_forwards_what_is_due(broker_of_full: RedisBroker, full: Redis) -> None:
    await enqueue(broker_of_full, a_scheduled("1", at_s=PAST_S))
    await fill(full)
    assert (await broker_of_full.upkeep.forward("q")).moved == 1
    assert await listed(full, PENDING) == ["1"]


async def test_in_a_full_redis_one_server_does_the_upkeep(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await fill(full)
    assert (await broker_of_full.upkeep.look("q", server_id="me")).held_elsewhere_s is None
    assert (await broker_of_full.upkeep.look("q", server_id="you")).held_elsewhere_s is not None


async def test_a_full_redis_recovers_lost_tasks(broker_of_full: RedisBroker, full: Redis) -> None:
    await a_lease(broker_of_full, lease_s=-1)
    await fill(full)
    (lost,) = (await broker_of_full.upkeep.expired("q")).leases
    assert await settle(broker_of_full, lost, retried(lost)) is True


async def test_a_full_redis_is_made_room_in(broker_of_full: RedisBroker, full: Redis) -> None:
    await full.zadd(ARCHIVED, {"1": 1})
    await full.zadd(COMPLETED, {"2": 1})
    await fill(full)
    assert await broker_of_full.upkeep.trim("q", limit=1) == 2


async def test_a_full_redis_refuses_a_result_and_keeps_the_task(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    lease = await a_lease(broker_of_full)
    await fill(full)
    with pytest.raises(BrokerFullError):
        await broker_of_full.work.write_result(lease, b"sent")
    assert b"result" not in await fields(full)
    assert await listed(full, ACTIVE) == ["1"]


async def test_a_full_redis_lets_the_leases_of_a_dead_server_end(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await a_lease(broker_of_full)
    await fill(full)
    assert await broker_of_full.upkeep.end_leases("q", "server") == 1


async def test_a_full_redis_lets_a_task_without_lease_be_repaired(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await a_lease(broker_of_full)
    await full.delete(LEASE)
    await fill(full)
    assert ids((await broker_of_full.upkeep.expired("q")).leases) == ["1"]


async def test_a_full_redis_shows_no_new_server_and_says_so(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await fill(full)
    with pytest.raises(BrokerFullError, match="maxmemory"):
        await broker_of_full.registry.write_server(a_server(), ttl_s=10)


@pytest.mark.parametrize("act", [_combine, _postpone, _archive_grouped, _unstage, _hold_set])
async def test_a_full_redis_lets_a_group_be_combined_postponed_archived_and_unstage(
    act: Act, broker_of_full: RedisBroker, full: Redis
) -> None:
    lease = await a_lease(broker_of_full)
    await enqueue(broker_of_full, a_grouped("staged"))
    await full.rename(GROUP, STALE)
    await full.zadd(SETS, {STALE: 1})
    await fill(full)
    assert int(cast("int", await act(broker_of_full, lease))) == 1


async def test_a_full_redis_lets_a_group_be_staged(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    lease = await a_lease(broker_of_full)
    await enqueue(broker_of_full, a_grouped("2"))
    await fill(full)
    assert await _stage(broker_of_full, lease) is not None


async def test_a_full_redis_lets_a_stale_set_be_reclaimed(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await enqueue(broker_of_full, a_grouped("staged"))
    await full.rename(GROUP, STALE)
    await full.zadd(SETS, {STALE: 1})
    await fill(full)
    assert (await broker_of_full.groups.reclaim("q")).tasks == 1


async def test_a_full_redis_lets_a_queue_be_removed(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await enqueue(broker_of_full, a_scheduled("1"), a_pending("2"))
    await fill(full)
    assert await broker_of_full.inspection.remove("q", force=True) is RemoveResult.DONE


async def test_a_full_redis_lets_a_delayed_task_be_rescheduled(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await enqueue(broker_of_full, a_scheduled("1"))
    await fill(full)
    found = await broker_of_full.inspection.task("q", "1")
    assert found is not None
    assert await broker_of_full.inspection.update(found, FUTURE_S + 1) is UpdateResult.DONE
    assert await scored(full, SCHEDULED) == {"1": FUTURE_S + 1}


async def test_a_redis_that_is_full_no_more_accepts_again(
    broker_of_full: RedisBroker, full: Redis
) -> None:
    await fill(full)
    await create(broker_of_full, [a_pending()])
    await full.config_set("maxmemory", "0")
    await enqueue(broker_of_full, a_pending())


def test_every_verdict_has_a_case() -> None:
    assert len(SETTLES) - len(FOLLOWED) == len(cast("Any", Verdict).__args__)
