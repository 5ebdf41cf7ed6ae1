"""What operators order leaves Redis as asynq would, or better."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from pyasynq.broker import Lease, Place, Removed
from pyasynq.broker.redis import RedisBroker, inspection, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.lua import inspection as lua
from pyasynq.broker.redis.pipeline import MAX_BYTES
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import ServerInfo, WorkerInfo
from pyasynq.core.settle import Verdict
from pyasynq.core.states import Order, TaskState
from tests.broker.making import (
    LOCK,
    a_grouped,
    a_lease,
    a_pending,
    archived,
    completed,
    settle,
    take,
)
from tests.broker.making import enqueue as put
from tests.broker.redis.looking import (
    ARCHIVED,
    GROUP,
    GROUPS,
    LOCK_KEY,
    PENDING,
    Q,
    everything,
    fields,
    listed,
    scored,
    state,
    task_key,
)
from tests.support.servers import RedisCluster

WAITING = Place(queue="q", state=TaskState.PENDING)
SHELVED = Place(queue="q", state=TaskState.ARCHIVED)
GROUPED = Place(queue="q", state=TaskState.AGGREGATING, group="g")


@pytest.mark.parametrize(
    ("order", "place", "key"),
    [
        (Order.RUN, GROUPED, PENDING),
        (Order.RUN, GROUPED, GROUPS),
        (Order.RUN, GROUPED, GROUP),
        (Order.ARCHIVE, GROUPED, ARCHIVED),
        (Order.ARCHIVE, GROUPED, GROUPS),
        (Order.ARCHIVE, WAITING, PENDING),
        (Order.DELETE, GROUPED, GROUPS),
        (Order.DELETE, WAITING, PENDING),
    ],
)
async def test_an_order_that_fails_has_written_nothing(
    order: Order, place: Place, key: str, broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_pending("1"), a_grouped("2"))
    await r.delete(key)
    await r.hset(key, "wrong", "type")
    before = await everything(r)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.inspecting.order(order, place, ["1", "2"])
    assert await everything(r) == before
    await r.delete(key)


async def test_a_task_that_is_run_is_last_in_line(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_grouped("1"), a_pending("2"))
    await broker.inspecting.order(Order.RUN, GROUPED, ["1"])
    assert await listed(r, PENDING) == ["2", "1"]
    assert (await fields(r)).keys() == {b"msg", b"state", b"pending_since"}


async def test_an_archived_task_keeps_its_lock(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_pending(lock=LOCK))
    await broker.inspecting.order(Order.ARCHIVE, WAITING, ["1"])
    assert await r.get(LOCK_KEY) == b"1"
    assert (await state(r), list(await scored(r, ARCHIVED))) == (b"archived", ["1"])


async def test_a_lock_that_another_task_holds_is_kept(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_pending(lock=LOCK))
    await r.set(LOCK_KEY, "2")
    await broker.inspecting.order(Order.DELETE, WAITING, ["1"])
    assert await r.get(LOCK_KEY) == b"2"


async def test_tasks_trimmed_from_the_archive_are_deleted(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker, a_pending("old", lock=LOCK))
    await settle(broker, lease, archived(lease))
    await r.zadd(ARCHIVED, {"old": 1_000_000_000})
    await put(broker, a_pending("1"))
    await broker.inspecting.order(Order.ARCHIVE, WAITING, ["1"])
    assert list(await scored(r, ARCHIVED)) == ["1"]
    assert await r.exists(task_key("old"), LOCK_KEY) == 0


async def test_several_tasks_leave_the_list_from_its_right_end_only(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, *[a_pending(str(n)) for n in range(50)])
    answers = await broker.inspecting.order(Order.DELETE, WAITING, ["49", "1"])
    assert answers == [False, True]
    assert await listed(r, PENDING) == ["0", *[str(n) for n in range(2, 50)]]
    assert await state(r, "49") == b"pending"


async def test_a_queue_that_a_producer_fills_meanwhile_is_registered_again(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, a_pending("1"))
    removing = broker.inspecting._remove_rest

    async def produce(queue: str) -> Removed | None:
        removed = await removing(queue)
        await put(broker, a_pending("2"))
        return removed

    monkeypatch.setattr(broker.inspecting, "_remove_rest", produce)
    assert await broker.inspecting.remove("q", force=True) is Removed.DONE
    assert await broker.inspecting.queues() == ["q"]
    assert await listed(r, PENDING) == ["2"]


async def test_a_queue_that_is_filled_faster_than_emptied_stays_and_is_not_paused(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, a_pending("1"))

    async def refuse(_queue: str) -> Removed | None:
        return Removed.NOT_EMPTY

    monkeypatch.setattr(broker.inspecting, "_remove_rest", refuse)
    monkeypatch.setattr(inspection, "ROUNDS", 2)
    assert await broker.inspecting.remove("q", force=True) is Removed.NOT_EMPTY
    assert await r.exists(f"{Q}paused") == 0


@pytest.fixture
async def emptied(broker: RedisBroker) -> None:
    """Let the queue be there, but without a task."""
    await broker.registry.register(["q"])


@pytest.mark.usefixtures("emptied")
async def test_a_task_that_is_enqueued_while_its_queue_is_removed_is_kept(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = broker.inspecting._close

    async def produce(queue: str, *, force: bool) -> Removed | None:
        refused = await closing(queue, force=force)
        await put(broker, a_pending("1"), a_grouped("2"))
        return refused

    monkeypatch.setattr(broker.inspecting, "_close", produce)
    assert await broker.inspecting.remove("q", force=False) is Removed.NOT_EMPTY
    assert (await listed(r, PENDING), list(await scored(r, GROUP))) == (["1"], ["2"])
    assert await r.exists(task_key("1"), task_key("2")) == 2
    assert await r.exists(f"{Q}paused") == 0


async def test_a_group_that_nobody_registered_keeps_its_queue(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_grouped())
    await r.delete(GROUPS)
    assert await broker.inspecting.remove("q", force=False) is Removed.NOT_EMPTY
    assert await state(r) == b"aggregating"
    assert await r.smembers(GROUPS) == {b"g"}


async def test_a_staged_set_that_nobody_registered_keeps_its_queue(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_grouped())
    staged = f"{GROUP}:5cdce7f5-5221-494e-b2ea-262acf33b109"
    await r.rename(GROUP, staged)
    await r.delete(GROUPS)
    assert await broker.inspecting.remove("q", force=False) is Removed.NOT_EMPTY
    assert list(await scored(r, f"{Q}aggregation_sets")) == [staged]
    assert await r.exists(GROUPS) == 0


@pytest.mark.usefixtures("emptied")
async def test_without_force_what_belongs_to_no_task_goes_as_well(
    broker: RedisBroker, r: Redis
) -> None:
    await r.set(LOCK_KEY, "gone")
    await r.hset(task_key("late"), "result", "r")
    await r.sadd(GROUPS, "stale")
    await r.zadd(f"{Q}aggregation_sets", {f"{GROUP}:stale": 1})
    assert await broker.inspecting.remove("q", force=False) is Removed.DONE
    assert await everything(r) == {}


@pytest.mark.parametrize("failure", [BrokerError("away"), asyncio.CancelledError()])
async def test_a_removal_that_fails_leaves_the_queue_as_it_was(
    failure: BaseException, broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_queue: str) -> None:
        assert await r.exists(f"{Q}paused") == 1
        raise failure

    await put(broker, a_pending())
    monkeypatch.setattr(broker.inspecting, "_empty", fail)
    with pytest.raises(type(failure)):
        await broker.inspecting.remove("q", force=True)
    assert await r.exists(f"{Q}paused") == 0


async def test_a_removal_that_fails_leaves_a_paused_queue_paused(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_queue: str) -> None:
        raise BrokerError("away")

    await broker.inspecting.pause("q")
    monkeypatch.setattr(broker.inspecting, "_empty", fail)
    with pytest.raises(BrokerError, match="away"):
        await broker.inspecting.remove("q", force=True)
    assert await r.exists(f"{Q}paused") == 1


@pytest.mark.parametrize("end", [completed, archived])
async def test_only_a_task_that_is_awaited_leaves_word(
    end: Callable[[Lease], Verdict], broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_pending("1"), a_pending("2"))
    await broker.results.look("q", "1")
    leases = await take(broker, 2)
    assert await broker.processing.settle([(lease, end(lease)) for lease in leases]) == [True] * 2
    assert await r.keys(f"{Q}done:*") == [f"{Q}done:1".encode()]
    assert 0 < await r.ttl(f"{Q}done:1") <= 60
    assert await r.exists(f"{Q}awaited") == 0


async def test_word_of_an_earlier_run_does_not_end_the_wait_for_the_next(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_pending())
    await broker.results.look("q", "1")
    [lease] = await take(broker, 1)
    await settle(broker, lease, archived(lease))
    await broker.inspecting.order(Order.RUN, SHELVED, ["1"])
    assert await r.exists(f"{Q}done:1") == 1
    await broker.results.look("q", "1")
    assert await r.exists(f"{Q}done:1") == 0


async def test_a_queue_of_a_cluster_is_on_one_node(redis_cluster: RedisCluster) -> None:
    broker = RedisBroker.connect(redis_cluster.url)
    nodes = await broker.inspecting.nodes("q")
    await broker.aclose()
    [served] = nodes
    assert served.address.endswith(f":{redis_cluster.nodes[2].port}")
    assert len(served.id) == 40


async def test_without_cluster_there_are_no_nodes(broker: RedisBroker) -> None:
    assert await broker.inspecting.nodes("q") == []


async def test_what_runs_on_a_server_is_read_a_megabyte_at_a_time(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerInfo(host="h", pid=1, server_id="s")
    workers = [
        WorkerInfo(server_id="s", task_id=str(n), task_payload=bytes(MAX_BYTES // 2))
        for n in range(5)
    ]
    await broker.registry.write_server(server, workers, ttl_s=10)
    calls: list[Call] = []
    run = pipeline.run

    async def counted(driver: Driver, call: Call) -> object:
        calls.append(call)
        return await run(driver, call)

    monkeypatch.setattr(pipeline, "run", counted)
    (info,) = await broker.inspecting.servers()
    assert sorted(worker.task_id for worker in info.active_workers) == ["0", "1", "2", "3", "4"]
    assert sum(call.script is lua.workers for call in calls) == 3


async def test_workers_of_which_one_cannot_be_read_are_shown_all_the_same(
    broker: RedisBroker, r: Redis
) -> None:
    server = ServerInfo(host="h", pid=1, server_id="s")
    await broker.registry.write_server(server, [WorkerInfo(server_id="s", task_id="1")], ttl_s=10)
    await r.hset("asynq:workers:{h:1:s}", "bad", b"\xff")
    (info,) = await broker.inspecting.servers()
    assert [worker.task_id for worker in info.active_workers] == ["1"]
