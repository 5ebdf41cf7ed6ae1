"""An inspector shows tasks in all states and moves them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack, cast

import anyio
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    Client,
    DuplicateTaskError,
    Inspector,
    OptionError,
    PoisonError,
    QueueActiveError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueNotPausedError,
    QueuePausedError,
    Scheduler,
    Server,
    Task,
    TaskInfo,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
)
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.core.options import EnqueueOptions, Options
from pyasynq.core.verdict import DONE
from tests.support.factories import (
    a_grouped,
    a_lease,
    a_pending,
    archived,
    enqueue,
    one_of_each,
    settle,
)
from tests.support.queue_view import RedisQueue
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
BULK = 1200
SOON = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    async with Client(redis_url) as client:
        yield client


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    broker = connect(redis_url)
    yield broker
    await broker.aclose()


async def stage(r: Redis, *ids: str) -> None:
    """Stage some tasks of group g, as an aggregator does first."""
    staged = "asynq:{q}:g:g:5cdce7f5-5221-494e-b2ea-262acf33b109"
    await r.zadd(staged, dict.fromkeys(ids, 1))
    await r.zrem("asynq:{q}:g:g", *ids)
    await r.zadd("asynq:{q}:aggregation_sets", {staged: 4_000_000_000})


def ids(tasks: list[TaskInfo]) -> list[str]:
    return [task.id for task in tasks]


waiting = pytest.mark.parametrize(
    "state", ["pending", "scheduled", "retry", "archived", "completed", "aggregating"]
)
every_state = pytest.mark.parametrize("state", [state.value for state in TaskState])


def group_of(state: str) -> str | None:
    return "g" if state == "aggregating" else None


# -- reading ---------------------------------------------------------------------------------------


async def test_queues_are_named_in_order(inspector: Inspector, client: Client) -> None:
    await client.enqueue_many([Task("t", queue=queue) for queue in ("b", "a")])
    assert await inspector.queues() == ["a", "b"]


async def test_a_queue_is_counted(
    inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    info = await inspector.queue_info("q")
    assert {state: getattr(info, state) for state in TaskState} == dict.fromkeys(TaskState, 1)
    assert (info.queue, info.size, info.groups, info.paused) == ("q", 7, 1, False)
    assert (info.processed, info.failed) == (3, 2)
    assert (info.processed_total, info.failed_total) == (3, 2)
    assert timedelta() < info.latency < timedelta(seconds=20)
    assert info.memory_usage > 500


async def test_staged_tasks_count_as_aggregating(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"))
    await stage(r, "1")
    info = await inspector.queue_info("q")
    assert (info.aggregating, info.size) == (2, 2)


@every_state
async def test_a_task_is_listed_as_it_is_looked_up(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    [listed] = await inspector.list_tasks("q", state, group=group_of(state))
    looked_up = await inspector.task_info("q", state)
    assert (listed.id, listed.state, listed.queue) == (state, state, "q")
    assert replace(listed, next_process_at=None) == replace(looked_up, next_process_at=None)


async def test_a_page_follows_the_page_before_it(inspector: Inspector, client: Client) -> None:
    for n in range(5):
        await client.enqueue(Task("t"), queue="q", task_id=str(n))
    pages = [await inspector.list_tasks("q", "pending", page=n, size=2) for n in (1, 2, 3, 4)]
    assert [ids(page) for page in pages] == [["0", "1"], ["2", "3"], ["4"], []]


async def test_a_page_may_be_longer_than_a_step(inspector: Inspector, client: Client) -> None:
    infos = await client.enqueue_many([Task("t", queue="q")] * 600)
    listed = await inspector.list_tasks("q", TaskState.PENDING, size=1000)
    assert ids(listed) == [cast("TaskInfo", info).id for info in infos]


async def test_a_page_of_large_tasks_is_read_in_more_steps(
    inspector: Inspector, client: Client
) -> None:
    infos = await client.enqueue_many([Task("t", b"x" * 1_000_000, queue="q")] * 12)
    listed = await inspector.list_tasks("q", TaskState.PENDING)
    assert ids(listed) == [cast("TaskInfo", info).id for info in infos]


async def test_a_page_of_a_group_ends_with_what_is_just_being_combined(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"), a_grouped("3"))
    await stage(r, "1")
    assert ids(await inspector.list_tasks("q", "aggregating", group="g")) == ["2", "3", "1"]
    last = await inspector.list_tasks("q", "aggregating", group="g", page=3, size=1)
    assert ids(last) == ["1"]


@pytest.mark.parametrize(("page", "size"), [(0, 1), (1, 0), (True, 1), (1, -1)])
async def test_an_invalid_page_is_refused(page: int, size: int, inspector: Inspector) -> None:
    with pytest.raises(OptionError, match="must be a whole number from 1"):
        await inspector.list_tasks("q", "pending", page=page, size=size)


async def test_an_unknown_state_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^state must be one of active, pending"):
        await inspector.list_tasks("q", "waiting")


async def test_aggregating_tasks_are_listed_by_group_only(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^group must be"):
        await inspector.list_tasks("q", "aggregating")


async def test_a_group_beside_another_state_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^group must be left out"):
        await inspector.list_tasks("q", "retry", group="g")


async def test_a_task_whose_lease_is_over_is_orphaned(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await a_lease(broker)
    await RedisQueue(r, "q").end_leases()
    [listed] = await inspector.list_tasks("q", "active")
    assert listed.is_orphaned
    assert (await inspector.task_info("q", "1")).is_orphaned


async def test_a_running_task_is_no_orphan(inspector: Inspector, broker: RedisBroker) -> None:
    await a_lease(broker)
    [listed] = await inspector.list_tasks("q", "active")
    assert not listed.is_orphaned


async def test_poison_is_left_out_of_lists(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"), a_pending("3"))
    await RedisQueue(r, "q").corrupt("1")
    await r.delete("asynq:{q}:t:2")
    assert ids(await inspector.list_tasks("q", "pending")) == ["3"]
    with pytest.raises(PoisonError):
        await inspector.task_info("q", "1")


async def test_mail_for_other_queues_is_listed_in_pages(
    inspector: Inspector, broker: RedisBroker
) -> None:
    followers = tuple(a_pending(name, queue="r") for name in "abc")
    await settle(broker, await a_lease(broker), replace(DONE, then=followers))
    found = [*await inspector.mail("q", size=2), *await inspector.mail("q", page=2, size=2)]
    assert [(it.to_queue, it.task_id, it.type) for it in found] == [
        ("r", "a", "t"),
        ("r", "b", "t"),
        ("r", "c", "t"),
    ]


async def test_a_queue_that_is_not_there_has_no_mail_to_list(inspector: Inspector) -> None:
    with pytest.raises(QueueNotFoundError):
        await inspector.mail("nowhere")
    with pytest.raises(OptionError):
        await inspector.mail("q", page=0)


async def test_groups_are_counted(inspector: Inspector, broker: RedisBroker) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"), a_grouped("3", group="a"))
    groups = await inspector.groups("q")
    assert [(group.group, group.size) for group in groups] == [("a", 1), ("g", 2)]


async def test_history_tells_each_day(inspector: Inspector, broker: RedisBroker) -> None:
    await settle(broker, await a_lease(broker), DONE)
    today, yesterday = await inspector.history("q", 2)
    assert (today.date, today.processed, today.failed) == (datetime.now(UTC).date(), 1, 0)
    assert (today.date - yesterday.date, yesterday.processed) == (timedelta(days=1), 0)


async def test_history_of_no_day_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^days must be"):
        await inspector.history("q", 0)


async def test_tasks_are_found_by_what_they_are(inspector: Inspector, client: Client) -> None:
    await client.enqueue_many([Task("t", b"a 1"), Task("u", b"a 2"), Task("t", b"b")], queue="q")
    [found] = await inspector.find_tasks("q", "pending", type="t", payload=b"a")
    assert (found.type, found.payload) == ("t", b"a 1")


async def test_tasks_are_found_by_their_error(inspector: Inspector, broker: RedisBroker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert ids(await inspector.find_tasks("q", "archived", error="oo")) == ["1"]
    assert await inspector.find_tasks("q", "archived", error="no") == []


async def test_tasks_that_are_just_being_combined_are_found(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"))
    await stage(r, "1", "2")
    assert ids(await inspector.find_tasks("q", "aggregating", group="g")) == ["1", "2"]


async def test_no_more_tasks_are_found_than_asked_for(inspector: Inspector, client: Client) -> None:
    await client.enqueue_many([Task("t", queue="q")] * 600)
    assert len(await inspector.find_tasks("q", "pending", limit=2)) == 2


# -- single tasks ----------------------------------------------------------------------------------

runnable = pytest.mark.parametrize(
    "state", ["scheduled", "retry", "archived", "completed", "aggregating"]
)


@runnable
async def test_a_task_is_run(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    await inspector.run_task("q", state)
    assert (await inspector.task_info("q", state)).state is TaskState.PENDING
    assert await inspector.list_tasks("q", state, group=group_of(state)) == []
    assert ids(await inspector.list_tasks("q", "pending")) == ["pending", state]


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "completed", "aggregating"])
async def test_a_task_is_archived(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    await inspector.archive_task("q", state)
    assert (await inspector.task_info("q", state)).state is TaskState.ARCHIVED
    assert await inspector.list_tasks("q", state, group=group_of(state)) == []
    assert set(ids(await inspector.list_tasks("q", "archived"))) == {"archived", state}


@waiting
async def test_a_task_is_deleted(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    await inspector.delete_task("q", state)
    with pytest.raises(TaskNotFoundError):
        await inspector.task_info("q", state)
    assert await inspector.list_tasks("q", state, group=group_of(state)) == []
    assert (await inspector.queue_info("q")).size == 6


@pytest.mark.parametrize(
    ("order", "state"),
    [
        ("run", "pending"),
        ("run", "active"),
        ("archive", "archived"),
        ("archive", "active"),
        ("delete", "active"),
    ],
)
async def test_an_action_that_the_state_forbids_is_refused(
    order: str, state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    with pytest.raises(
        TaskStateError, match=f"cannot {order} task '{state}' in 'q': it is {state}"
    ):
        await getattr(inspector, f"{order}_task")("q", state)


@pytest.mark.parametrize("order", ["run", "archive", "delete"])
async def test_a_task_that_is_just_being_combined_is_left_alone(
    order: str, inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped())
    await stage(r, "1")
    with pytest.raises(TaskStateError, match="it is staged; its group is just being combined"):
        await getattr(inspector, f"{order}_task")("q", "1")


@pytest.mark.parametrize("order", ["run_task", "archive_task", "delete_task", "task_info"])
async def test_a_missing_task_or_queue_is_not_found(
    order: str, inspector: Inspector, client: Client
) -> None:
    with pytest.raises(QueueNotFoundError, match="queue not found: 'q'"):
        await getattr(inspector, order)("q", "1")
    await client.enqueue(Task("t"), queue="q")
    with pytest.raises(TaskNotFoundError, match="'1' is not in 'q'"):
        await getattr(inspector, order)("q", "1")


async def test_a_deleted_task_releases_its_lock(inspector: Inspector, client: Client) -> None:
    info = await client.enqueue(Task("t"), queue="q", unique=HOUR)
    await inspector.delete_task("q", info.id)
    await client.enqueue(Task("t"), queue="q", unique=HOUR)


async def test_a_task_that_is_in_no_container_can_be_deleted(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    await r.zrem("asynq:{q}:archived", "1")
    await inspector.delete_task("q", "1")
    assert await r.keys("asynq:{q}:t:*") == []


async def test_a_run_task_forgets_its_group(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped())
    await inspector.run_task("q", "1")
    assert await r.hget("asynq:{q}:t:1", "group") is None
    assert await r.exists("asynq:{q}:groups") == 0
    assert (await inspector.task_info("q", "1")).group == "g"


async def test_a_group_stays_known_while_tasks_wait_in_it(
    inspector: Inspector, broker: RedisBroker
) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"))
    await inspector.archive_task("q", "1")
    [group] = await inspector.groups("q")
    assert (group.group, group.size) == ("g", 1)


async def test_pending_since_is_kept_only_while_a_task_is_pending(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await inspector.archive_task("q", "1")
    assert await r.hget("asynq:{q}:t:1", "pending_since") is None
    await inspector.run_task("q", "1")
    assert await r.hget("asynq:{q}:t:1", "pending_since") is not None


@pytest.mark.parametrize("order", ["archive", "delete"])
async def test_poison_can_be_moved_out_of_the_way(
    order: str, inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await RedisQueue(r, "q").corrupt("1")
    await getattr(inspector, f"{order}_task")("q", "1")
    assert (await inspector.queue_info("q")).pending == 0


async def test_a_task_in_a_state_that_nobody_knows_is_poison(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await r.hset("asynq:{q}:t:1", "state", "waiting")
    with pytest.raises(PoisonError):
        await inspector.delete_task("q", "1")


async def test_a_task_whose_message_cannot_be_read_is_moved_but_not_updated(
    inspector: Inspector, client: Client, r: Redis
) -> None:
    info = await client.enqueue(Task("t"), queue="q", process_in=HOUR)
    await RedisQueue(r, "q").corrupt(info.id)
    with pytest.raises(PoisonError):
        await inspector.update_task("q", info.id, max_retry=1)
    await inspector.reschedule("q", info.id, SOON)
    assert await RedisQueue(r, "q").due_at(info.id) == SOON.timestamp()
    await inspector.run_task("q", info.id)
    await inspector.archive_task("q", info.id)
    await inspector.delete_task("q", info.id)
    assert not await RedisQueue(r, "q").exists(info.id)


async def test_a_task_that_never_stands_still_is_given_up(
    inspector: Inspector, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def miss(*_arguments: object) -> int:
        return 0

    await enqueue(broker, a_pending())
    monkeypatch.setattr(inspector._port, "apply", miss)
    with pytest.raises(TaskStateError, match="moving between states all the time"):
        await inspector.delete_task("q", "1")


# -- changing tasks --------------------------------------------------------------------------------


async def test_a_scheduled_task_gets_another_payload(inspector: Inspector, client: Client) -> None:
    info = await client.enqueue(Task("t", b"old"), queue="q", process_in=HOUR)
    await inspector.update_task_payload("q", info.id, b"new")
    read = await inspector.task_info("q", info.id)
    assert (read.payload, read.next_process_at) == (b"new", info.next_process_at)


async def test_a_task_changes_in_many_ways(inspector: Inspector, client: Client) -> None:
    info = await client.enqueue(
        Task("t", b"p", headers={"a": "1"}), queue="q", process_in=HOUR, group="g"
    )
    read = await inspector.update_task(
        "q", info.id, headers={"b": "2"}, max_retry=3, timeout=HOUR, deadline=SOON, retention=HOUR
    )
    assert read == replace(
        info, headers={"b": "2"}, max_retry=3, timeout=HOUR, deadline=SOON, retention=HOUR
    )


@pytest.mark.parametrize("state", ["pending", "active", "completed", "aggregating"])
async def test_a_task_that_does_not_wait_is_not_changed(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    with pytest.raises(TaskStateError, match="cannot update task"):
        await inspector.update_task("q", state, payload=b"new")


async def test_only_a_scheduled_task_gets_another_payload_alone(
    inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker)
    with pytest.raises(TaskStateError, match="cannot update the payload of task 'retry'"):
        await inspector.update_task_payload("q", "retry", b"new")


async def test_a_lock_goes_with_the_payload(inspector: Inspector, client: Client) -> None:
    task = Task("t", b"old", queue="q", unique=HOUR, process_in=HOUR)
    info = await client.enqueue(task)
    await inspector.update_task("q", info.id, payload=b"new")
    with pytest.raises(DuplicateTaskError):
        await client.enqueue(Task("t", b"new", queue="q", unique=HOUR))
    await client.enqueue(task)
    await inspector.delete_task("q", info.id)
    await client.enqueue(Task("t", b"new", queue="q", unique=HOUR))


async def test_a_payload_that_another_task_has_locked_is_refused(
    inspector: Inspector, client: Client
) -> None:
    await client.enqueue(Task("t", b"new", queue="q", unique=HOUR))
    info = await client.enqueue(Task("t", b"old", queue="q", unique=HOUR, process_in=HOUR))
    with pytest.raises(DuplicateTaskError):
        await inspector.update_task("q", info.id, payload=b"new")
    assert (await inspector.task_info("q", info.id)).payload == b"old"


@pytest.mark.parametrize("changes", [{"group": "h"}, {"unique": HOUR}, {"process_in": HOUR}])
async def test_other_options_of_a_task_cannot_be_changed(
    changes: dict[str, Any], inspector: Inspector
) -> None:
    with pytest.raises(TypeError, match="cannot change"):
        await inspector.update_task("q", "1", **changes)


async def test_a_payload_that_is_no_bytes_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^payload must be bytes"):
        await inspector.update_task_payload("q", "1", cast("Any", "new"))


async def test_a_delayed_task_is_rescheduled(inspector: Inspector, client: Client) -> None:
    info = await client.enqueue(Task("t"), queue="q", process_in=HOUR)
    await inspector.reschedule("q", info.id, SOON)
    assert (await inspector.task_info("q", info.id)).next_process_at == SOON


async def test_a_pending_task_is_not_rescheduled(inspector: Inspector, client: Client) -> None:
    info = await client.enqueue(Task("t"), queue="q")
    with pytest.raises(TaskStateError, match="cannot reschedule"):
        await inspector.reschedule("q", info.id, SOON)


async def test_a_time_without_zone_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^at must be a datetime with a time zone"):
        await inspector.reschedule("q", "1", datetime(2040, 1, 1))  # noqa: DTZ001


# -- all tasks -------------------------------------------------------------------------------------


async def many(client: Client, count: int, **options: Unpack[EnqueueOptions]) -> None:
    await client.enqueue_many([Task("t", queue="q")] * count, **options)


async def test_all_scheduled_tasks_run_in_batches(inspector: Inspector, client: Client) -> None:
    await many(client, BULK, process_in=HOUR)
    counts: list[int] = []
    assert await inspector.run_all("q", "scheduled", progress=counts.append) == BULK
    assert counts == [1000, BULK]
    info = await inspector.queue_info("q")
    assert (info.pending, info.scheduled) == (BULK, 0)


async def test_all_pending_tasks_are_archived(inspector: Inspector, client: Client) -> None:
    await many(client, BULK)
    assert await inspector.archive_all("q", "pending") == BULK
    info = await inspector.queue_info("q")
    assert (info.pending, info.archived) == (0, BULK)


async def test_all_pending_tasks_are_deleted_with_their_locks(
    inspector: Inspector, client: Client, r: Redis
) -> None:
    tasks = [Task("t", str(n).encode(), queue="q", unique=HOUR) for n in range(5)]
    await client.enqueue_many(tasks)
    assert await inspector.delete_all("q", "pending") == 5
    assert await r.keys("*") == [b"asynq:queues"]


@pytest.mark.parametrize("order", ["run", "archive", "delete"])
async def test_all_tasks_of_a_group_move(
    order: str, inspector: Inspector, client: Client, r: Redis
) -> None:
    await many(client, 3, group="g")
    assert await getattr(inspector, f"{order}_all")("q", "aggregating", "g") == 3
    assert await r.exists("asynq:{q}:groups", "asynq:{q}:g:g") == 0


@pytest.mark.parametrize("order", ["run", "archive"])
async def test_all_completed_tasks_move(
    order: str, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker)
    assert await getattr(inspector, f"{order}_all")("q", "completed") == 1
    assert (await inspector.queue_info("q")).completed == 0


async def test_tasks_archived_beyond_the_limit_are_deleted(
    inspector: Inspector, client: Client, r: Redis
) -> None:
    await r.zadd("asynq:{q}:archived", {f"old {n}": 4_000_000_000 - n for n in range(9999)})
    await many(client, BULK)
    assert await inspector.archive_all("q", "pending") == BULK
    assert (await inspector.queue_info("q")).archived <= 9999


async def test_ids_without_a_task_do_not_stop_the_others(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await r.delete("asynq:{q}:t:1")
    assert await inspector.archive_all("q", "pending") == 1
    assert (await inspector.queue_info("q")).pending == 0


async def test_a_bulk_action_that_the_state_forbids_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match=r"^state must be one of"):
        await inspector.run_all("q", "pending")


async def test_a_bulk_operation_ends_though_producers_go_on(
    inspector: Inspector, client: Client
) -> None:
    async def produce() -> None:
        while True:
            await many(client, 100)

    await many(client, 2 * BULK)
    async with anyio.create_task_group() as producing:
        producing.start_soon(produce)
        with anyio.fail_after(10):
            assert await inspector.delete_all("q", "pending") >= 2 * BULK
        producing.cancel_scope.cancel()


# -- queues ----------------------------------------------------------------------------------------


async def test_a_paused_queue_gives_nothing(
    inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await client.enqueue(Task("t"), queue="q")
    await inspector.pause("q")
    [taken] = await broker.work.dequeue({"q": 1}, owner="s", lease_s=30)
    assert getattr(taken, "paused", None)
    assert (await inspector.queue_info("q")).paused
    with pytest.raises(QueuePausedError):
        await inspector.pause("q")
    await inspector.unpause("q")
    with pytest.raises(QueueNotPausedError):
        await inspector.unpause("q")


async def test_a_queue_that_is_not_there_is_not_paused(inspector: Inspector) -> None:
    with pytest.raises(QueueNotFoundError):
        await inspector.pause("q")


async def test_an_empty_queue_is_deleted_with_all_its_keys(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, DONE)
    await r.sadd("asynq:{q}:groups", "stale")
    await r.hset("asynq:{q}:group_search", "cursor", "0")
    await inspector.delete_queue("q")
    assert await r.keys("*") == []


@waiting
async def test_a_queue_with_a_task_is_not_deleted(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client, r: Redis
) -> None:
    await one_of_each(broker)
    await r.delete("asynq:{q}:active", "asynq:{q}:lease", "asynq:{q}:t:active")
    for other in {"pending", "scheduled", "retry", "archived", "completed"} - {state}:
        await inspector.delete_all("q", other)
    await inspector.delete_all("q", "aggregating", "g" if state != "aggregating" else "h")
    with pytest.raises(QueueNotEmptyError):
        await inspector.delete_queue("q")


async def test_a_queue_is_deleted_by_force_with_all_its_keys(
    inspector: Inspector, broker: RedisBroker, client: Client, r: Redis
) -> None:
    await one_of_each(broker)
    await r.delete("asynq:{q}:active", "asynq:{q}:lease", "asynq:{q}:t:active")
    await enqueue(broker, a_grouped("1"), a_grouped("2", group="h"))
    await stage(r, "1")
    await client.enqueue(Task("t", b"u"), queue="q", unique=HOUR)
    await inspector.delete_queue("q", force=True)
    assert await r.keys("*") == []


async def test_the_tasks_that_are_deleted_with_a_queue_are_counted(
    inspector: Inspector, client: Client
) -> None:
    await many(client, BULK, process_in=HOUR)
    await client.enqueue(Task("t"), queue="q", group="g")
    counts: list[int] = []
    await inspector.delete_queue("q", force=True, progress=counts.append)
    assert counts == [1000, BULK, BULK + 1]


async def test_a_queue_to_which_a_producer_adds_while_it_is_deleted_is_not_empty(
    inspector: Inspector, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.enqueue(Task("t"), queue="q")
    remove_rest = cast("Any", inspector._port)._remove_rest

    async def too_late(queue: str) -> object:
        await client.enqueue(Task("t", task_id="new"), queue="q")
        return await remove_rest(queue)

    monkeypatch.setattr(inspector._port, "_remove_rest", too_late)
    with pytest.raises(QueueNotEmptyError):
        await inspector.delete_queue("q", force=True)
    assert ids(await inspector.list_tasks("q", "pending")) == ["new"]
    assert not (await inspector.queue_info("q")).paused


async def test_tasks_that_workers_take_meanwhile_are_not_moved(
    inspector: Inspector, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(broker, a_pending())
    order = cast("Any", inspector._port).apply

    async def too_late(*arguments: object) -> int:
        await broker.work.dequeue({"q": 1}, owner="s", lease_s=30)
        return cast("int", await order(*arguments))

    monkeypatch.setattr(inspector._port, "apply", too_late)
    assert await inspector.delete_all("q", "pending") == 0
    assert (await inspector.task_info("q", "1")).state is TaskState.ACTIVE


async def test_other_queues_stay(inspector: Inspector, client: Client, r: Redis) -> None:
    await client.enqueue_many([Task("t", queue=queue) for queue in ("q*", "qq", "q")])
    await inspector.delete_queue("q*", force=True)
    assert await inspector.queues() == ["q", "qq"]
    assert len(await r.keys("asynq:{q[*]}*")) == 0
    assert (await inspector.queue_info("qq")).pending == 1


async def test_a_queue_with_running_tasks_is_not_deleted_even_by_force(
    inspector: Inspector, broker: RedisBroker
) -> None:
    await a_lease(broker)
    with pytest.raises(QueueActiveError):
        await inspector.delete_queue("q", force=True)
    assert not (await inspector.queue_info("q")).paused


async def test_a_queue_has_a_slot_and_without_cluster_no_nodes(inspector: Inspector) -> None:
    assert await inspector.queue_slot("default") == 5718
    assert await inspector.queue_nodes("default") == []


# -- names that Go wrote and that are no UTF-8 -----------------------------------------------------


async def test_a_queue_with_a_group_that_is_no_text_is_counted(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped())
    await r.sadd("asynq:{q}:groups", b"\xff")
    await r.zadd(b"asynq:{q}:g:\xff", {b"\xfe": 1})
    assert (await inspector.queue_info("q")).aggregating == 2
    await inspector.delete_queue("q", force=True)
    assert await r.keys("*") == []


async def test_a_queue_whose_name_is_no_text_is_counted(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await r.sadd("asynq:queues", b"\xff")
    await r.lpush(b"asynq:{\xff}:pending", "1")
    [queue] = await inspector.queues()
    assert (await broker.inspection.queue_info(queue)).pending == 1


async def test_one_pending_task_whose_id_is_no_text_is_deleted(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await r.sadd("asynq:queues", "q")
    await r.lpush("asynq:{q}:pending", b"\xfe")
    await r.hset(b"asynq:{q}:t:\xfe", "state", "pending")
    assert await inspector.delete_all("q", "pending") == 1
    assert await r.keys("asynq:{q}:*") == []


# -- servers ---------------------------------------------------------------------------------------


async def test_no_server_is_shown_where_none_runs(inspector: Inspector) -> None:
    assert await inspector.servers() == []


async def test_a_server_record_that_does_not_parse_is_left_out(
    inspector: Inspector, r: Redis
) -> None:
    await r.zadd("asynq:servers", {"asynq:servers:{h:1:s}": 4_000_000_000})
    await r.set("asynq:servers:{h:1:s}", b"\xff")
    assert await inspector.servers() == []


async def test_a_canceled_task_stops(inspector: Inspector, client: Client, redis_url: str) -> None:
    started = anyio.Event()

    async def handler(task: ActiveTask) -> None:
        started.set()
        await anyio.sleep_forever()

    async with Server(redis_url, queues={"q": 1}).running(handler):
        info = await client.enqueue(Task("t", queue="q", max_retry=0))
        await started.wait()
        await inspector.cancel(info.id)

        async def archived() -> bool:
            return (await inspector.task_info("q", info.id)).state is TaskState.ARCHIVED

        await wait_until(archived)


# -- schedulers ------------------------------------------------------------------------------------


async def test_the_entries_of_schedulers_are_listed(redis_url: str, inspector: Inspector) -> None:
    scheduler = Scheduler(redis_url)
    entry_id = scheduler.register("0 0 1 1 *", Task("t", b"p"), queue="low", max_retry=3)
    async with scheduler.running():
        await wait_until(inspector.scheduler_entries)
        [entry] = await inspector.scheduler_entries()
    assert (entry.id, entry.spec, entry.prev) == (entry_id, "0 0 1 1 *", None)
    assert (entry.task.type, entry.task.payload) == ("t", b"p")
    assert entry.options == Options(queue="low", max_retry=3)
    assert entry.next is not None
    assert (entry.next.month, entry.next.day) == (1, 1)


async def test_the_events_of_an_entry_are_listed_newest_first(
    redis_url: str, inspector: Inspector
) -> None:
    scheduler = Scheduler(redis_url)
    entry_id = scheduler.register("@every 1s", Task("t"))

    async def two() -> bool:
        return len(await inspector.scheduler_events(entry_id)) >= 2

    async with scheduler.running():
        await wait_until(two)
        events = await inspector.scheduler_events(entry_id)
    assert events == sorted(events, key=lambda event: event.enqueued_at, reverse=True)
    page = await inspector.scheduler_events(entry_id, page=2, size=1)
    assert len(page) == 1


async def test_page_0_of_events_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match="page"):
        await inspector.scheduler_events("id", page=0)


# -- what others wrote -----------------------------------------------------------------------------


@pytest.mark.parametrize("score", [1e18, float("inf")])
async def test_a_time_that_no_calendar_has_hides_no_page(
    score: float, client: Client, inspector: Inspector, r: Redis
) -> None:
    info = await client.enqueue(Task("t"), process_in=HOUR)
    await r.zadd("asynq:{default}:scheduled", {info.id: score})
    [listed] = await inspector.list_tasks("default", "scheduled")
    assert listed.next_process_at is not None
    assert listed.next_process_at.year == 9999


async def test_a_queue_whose_name_only_peers_allow_is_shown(inspector: Inspector, r: Redis) -> None:
    name = "long" * 1000
    await r.sadd("asynq:queues", name)
    assert (await inspector.queue_info(name)).queue == name


async def test_pending_tasks_amid_others_are_deleted_by_their_type(
    inspector: Inspector, client: Client
) -> None:
    await client.enqueue_many([Task("ab"[n // 100]) for n in range(200)])
    assert await inspector.delete_all("default", "pending", type="b") == 100
    info = await inspector.queue_info("default")
    assert (info.pending, info.size) == (100, 100)
