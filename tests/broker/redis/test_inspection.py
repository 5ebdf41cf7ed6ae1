"""Actions of operators leave Redis as asynq would, or better."""

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from pyasynq.broker import Container, Move, RemoveResult, UpdateResult
from pyasynq.broker.redis import RedisBroker
from pyasynq.broker.redis.inspection import RedisInspection, _Deleted
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, PoisonError
from pyasynq.core.policy import MAX_BYTES
from pyasynq.core.states import Action, TaskState
from tests.broker.redis.stored_keys import (
    ARCHIVED,
    GROUP,
    GROUPS,
    LOCK_KEY,
    PENDING,
    Q,
    everything,
    fields,
    go_takes,
    listed,
    record_calls,
    scored,
    state,
    task_key,
)
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    PAST_S,
    a_grouped,
    a_lease,
    a_message,
    a_pending,
    a_scheduled,
    archived,
    enqueue,
    many_pending,
    settle,
    take,
)
from tests.support.factories import enqueue as put

WAITING = Container(queue="q", state=TaskState.PENDING)
DELAYED = Container(queue="q", state=TaskState.SCHEDULED)
GROUPED = Container(queue="q", state=TaskState.AGGREGATING, group="g")


@pytest.mark.parametrize(
    ("action", "container", "key"),
    [
        (Action.RUN, GROUPED, PENDING),
        (Action.RUN, GROUPED, GROUPS),
        (Action.RUN, GROUPED, GROUP),
        (Action.ARCHIVE, GROUPED, ARCHIVED),
        (Action.ARCHIVE, GROUPED, GROUPS),
        (Action.ARCHIVE, WAITING, PENDING),
        (Action.DELETE, GROUPED, GROUPS),
        (Action.DELETE, WAITING, PENDING),
    ],
)
async def test_an_action_that_fails_has_written_nothing(
    action: Move, container: Container, key: str, broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_pending("1"), a_grouped("2"))
    await r.delete(key)
    await r.hset(key, "wrong", "type")
    before = await everything(r)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.inspection.apply(action, container, ["1", "2"])
    assert await everything(r) == before
    await r.delete(key)


async def test_a_task_that_is_run_is_last_in_line(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_grouped("1"), a_pending("2"))
    await broker.inspection.apply(Action.RUN, GROUPED, ["1"])
    assert await listed(r, PENDING) == ["2", "1"]
    assert (await fields(r)).keys() == {b"msg", b"state", b"pending_since"}


async def test_an_archived_task_keeps_its_lock(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_pending(lock=LOCK))
    await broker.inspection.apply(Action.ARCHIVE, WAITING, ["1"])
    assert await r.get(LOCK_KEY) == b"1"
    assert (await state(r), list(await scored(r, ARCHIVED))) == (b"archived", ["1"])


async def test_a_lock_that_another_task_holds_is_kept(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_pending(lock=LOCK))
    await r.set(LOCK_KEY, "2")
    await broker.inspection.apply(Action.DELETE, WAITING, ["1"])
    assert await r.get(LOCK_KEY) == b"2"


async def test_tasks_trimmed_from_the_archive_are_deleted(broker: RedisBroker, r: Redis) -> None:
    lease = await a_lease(broker, a_pending("old", lock=LOCK))
    await settle(broker, lease, archived(lease))
    await r.zadd(ARCHIVED, {"old": 1_000_000_000})
    await put(broker, a_pending("1"))
    await broker.inspection.apply(Action.ARCHIVE, WAITING, ["1"])
    assert list(await scored(r, ARCHIVED)) == ["1"]
    assert await r.exists(task_key("old"), LOCK_KEY) == 0


async def test_several_tasks_leave_the_list_from_its_right_end_only(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, *[a_pending(str(n)) for n in range(50)])
    assert await broker.inspection.apply(Action.DELETE, WAITING, ["49", "1"]) == 1
    assert await listed(r, PENDING) == ["0", *[str(n) for n in range(2, 50)]]
    assert await state(r, "49") == b"pending"


async def test_an_action_by_count_includes_ids_that_are_no_text(
    broker: RedisBroker, r: Redis
) -> None:
    await r.lpush(PENDING, b"\xfe", b"\xff")
    for task_id in (b"\xfe", b"\xff"):
        await r.hset(f"{Q}t:".encode() + task_id, "state", "pending")
    assert await broker.inspection.apply(Action.DELETE, WAITING, 2) == 2
    assert await r.exists(PENDING) == 0


# -- tasks that cannot be read ---------------------------------------------------------------------


async def break_message(r: Redis, task_id: str = "1") -> bytes:
    """Write a message that cannot be decoded; return it."""
    await r.hset(task_key(task_id), "msg", poison := b"\xff" * 7)
    return poison


@pytest.mark.parametrize(
    ("plan", "container"),
    [(a_pending(), WAITING), (a_scheduled(), DELAYED), (a_grouped(), GROUPED)],
    ids=["pending", "scheduled", "grouped"],
)
async def test_a_task_whose_message_cannot_be_read_is_found(
    plan: Plan, container: Container, broker: RedisBroker, r: Redis
) -> None:
    await put(broker, plan)
    poison = await break_message(r)
    found = await broker.inspection.task("q", "1")
    assert found is not None
    assert (found.container, found.staged, found.id) == (container, False, "1")
    assert (found.message, found.info, found.size) == (None, None, len(poison))
    assert await broker.inspection.apply(Action.ARCHIVE, found.container, [found.id]) == 1


async def test_a_task_whose_message_cannot_be_read_is_left_out_of_a_page(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_pending("1"), a_pending("2"), a_pending("3"))
    await break_message(r, "2")
    page = await broker.inspection.tasks(WAITING, 0, 2)
    assert ([task.id for task in page.tasks], page.more) == (["1"], True)
    page = await broker.inspection.tasks(WAITING, 1, 2)
    assert ([task.id for task in page.tasks], page.more) == (["3"], False)


async def test_a_delayed_task_whose_message_cannot_be_read_is_given_another_time(
    broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_scheduled())
    await break_message(r)
    found = await broker.inspection.task("q", "1")
    assert found is not None
    assert await broker.inspection.update(found, FUTURE_S + 1) is UpdateResult.DONE
    assert await scored(r, f"{Q}scheduled") == {"1": FUTURE_S + 1}


async def test_a_message_that_cannot_be_read_can_be_replaced(broker: RedisBroker, r: Redis) -> None:
    await put(broker, a_scheduled())
    await break_message(r)
    found = await broker.inspection.task("q", "1")
    assert found is not None
    revised = a_message("1", type="mended")
    assert await broker.inspection.update(found, revised) is UpdateResult.DONE
    mended = await broker.inspection.task("q", "1")
    assert mended is not None
    assert mended.message == revised


@pytest.mark.parametrize("word", ["", "gone"])
async def test_a_task_in_a_state_that_there_is_not_is_poison(
    word: str, broker: RedisBroker, r: Redis
) -> None:
    await put(broker, a_pending())
    await r.hset(task_key(), "state", word)
    with pytest.raises(PoisonError):
        await broker.inspection.task("q", "1")


# -- remove ----------------------------------------------------------------------------------------


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, broker: RedisBroker, step: str, *plans: Plan, after: bool
) -> None:
    """Let a producer add *plans* before or *after* a step of the removal of a queue."""
    inspection = cast("Any", broker.inspection)
    taken = getattr(inspection, step)

    async def produce(*args: object, **kwargs: object) -> object:
        if not after:
            await put(broker, *plans)
        answer = await taken(*args, **kwargs)
        if after:
            await put(broker, *plans)
        return answer

    monkeypatch.setattr(inspection, step, produce)


async def test_a_queue_that_a_producer_fills_meanwhile_is_registered_again(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, a_pending("1"))
    meanwhile(monkeypatch, broker, "_remove_rest", a_pending("2"), after=True)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await broker.inspection.queues() == ["q"]
    assert await listed(r, PENDING) == ["2"]


ADDED = [
    a_pending("2", lock=LOCK),
    a_scheduled("2", lock=LOCK),
    a_grouped("2", lock=LOCK),
    a_grouped("2", group="new", lock=LOCK),
]


@pytest.mark.parametrize("plan", ADDED, ids=["pending", "scheduled", "grouped", "another group"])
@pytest.mark.parametrize("force", [True, False], ids=["by force", "empty"])
@pytest.mark.parametrize("paused", [True, False], ids=["paused", "not paused"])
async def test_a_queue_that_a_producer_adds_to_while_it_is_removed_stays_as_it_was(
    plan: Plan,
    force: bool,  # noqa: FBT001
    paused: bool,  # noqa: FBT001
    broker: RedisBroker,
    r: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(broker, a_pending("1"), a_grouped("3"))
    if not force:
        await r.delete(PENDING, GROUP, task_key("1"), task_key("3"))
    await broker.inspection.pause("q", paused=paused)
    meanwhile(monkeypatch, broker, "_remove_rest", plan, after=False)
    assert await broker.inspection.remove("q", force=force) is RemoveResult.NOT_EMPTY
    assert (await broker.inspection.queue_info("q")).paused is paused
    assert await broker.inspection.queues() == ["q"]
    found = await broker.inspection.task("q", "2")
    assert found is not None
    assert (found.message, found.staged) == (plan.message, False)
    assert [task.id for task in (await broker.inspection.tasks(found.container, 0, 9)).tasks] == [
        "2"
    ]
    assert await r.get(LOCK_KEY) == b"2"


async def test_a_queue_to_which_a_producer_has_added_is_removed_at_the_next_try(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, a_pending("1"))
    with monkeypatch.context() as patched:
        meanwhile(patched, broker, "_remove_rest", ADDED[0], a_grouped("3"), after=False)
        assert await broker.inspection.remove("q", force=True) is RemoveResult.NOT_EMPTY
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await everything(r) == {}


async def test_a_queue_of_which_a_task_is_taken_before_it_is_paused_is_not_removed(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, a_pending("1"), a_pending("2"))
    inspection = cast("Any", broker.inspection)
    pause = inspection.pause

    async def too_late(queue: str, *, paused: bool) -> bool:
        if paused:
            await take(broker)
        return await pause(queue, paused=paused)

    monkeypatch.setattr(inspection, "pause", too_late)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.ACTIVE
    assert not (await broker.inspection.queue_info("q")).paused
    assert await listed(r, PENDING) == ["2"]


async def test_a_queue_of_which_a_task_runs_in_the_end_is_not_removed(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, a_pending("1"))
    inspection = cast("Any", broker.inspection)
    remove_rest = inspection._remove_rest

    async def too_late(queue: str) -> RemoveResult:
        await go_takes(r, "2", lease_ends_s=FUTURE_S)
        return await remove_rest(queue)

    monkeypatch.setattr(inspection, "_remove_rest", too_late)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.ACTIVE
    assert not (await broker.inspection.queue_info("q")).paused
    assert await state(r, "2") == b"active"


async def test_a_queue_is_emptied_in_batches(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, *many_pending(2500))
    calls = record_calls(monkeypatch, "inspection/delete_tasks")
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert [len(reply) for _, reply in calls] == [1000, 1000, 500]


@pytest.fixture
async def emptied(r: Redis) -> None:
    """Register the queue, without a task."""
    await RedisRegistry(r).register(["q"])


@pytest.mark.usefixtures("emptied")
async def test_a_task_that_is_enqueued_while_its_queue_is_removed_is_kept(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, broker, "_clear_groups", a_pending("1"), a_grouped("2"), after=False)
    assert await broker.inspection.remove("q", force=False) is RemoveResult.NOT_EMPTY
    assert (await listed(r, PENDING), list(await scored(r, GROUP))) == (["1"], ["2"])
    assert await r.exists(task_key("1"), task_key("2")) == 2
    assert await r.exists(f"{Q}paused") == 0


@pytest.mark.usefixtures("emptied")
async def test_without_force_groups_and_sets_without_tasks_go_as_well(
    broker: RedisBroker, r: Redis
) -> None:
    await r.sadd(GROUPS, "stale")
    await r.zadd(f"{Q}aggregation_sets", {f"{GROUP}:stale": 1})
    assert await broker.inspection.remove("q", force=False) is RemoveResult.DONE
    assert await everything(r) == {}


@pytest.mark.parametrize("force", [False, True])
async def test_a_group_that_nobody_registered_is_seen_when_its_queue_is_removed(
    force: bool,  # noqa: FBT001
    broker: RedisBroker,
    r: Redis,
) -> None:
    await put(broker, a_grouped("1"))
    await r.delete(GROUPS)
    removed = await broker.inspection.remove("q", force=force)
    assert removed is (RemoveResult.DONE if force else RemoveResult.NOT_EMPTY)
    assert await r.exists("asynq:{q}:t:1") == (not force)
    assert not await r.exists("asynq:{q}:paused")


async def test_a_queue_is_removed_though_its_tasks_move_on_meanwhile(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(broker, *[a_scheduled(str(n), at_s=PAST_S) for n in range(5)], a_pending("p"))
    clear = RedisInspection._clear_groups

    async def forward_first(
        port: RedisInspection, queue: str, deleted: _Deleted, *, delete: bool
    ) -> None:
        await put(broker, a_scheduled("late", at_s=PAST_S))
        await broker.upkeep.forward(queue)
        await clear(port, queue, deleted, delete=delete)

    monkeypatch.setattr(RedisInspection, "_clear_groups", forward_first)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE


async def test_a_removal_that_is_given_up_while_it_pauses_leaves_no_pause(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = RedisInspection.pause

    async def pause_then_cancel(port: RedisInspection, queue: str, *, paused: bool) -> bool:
        answer = await pause(port, queue, paused=paused)
        if paused:
            raise asyncio.CancelledError
        return answer

    await put(broker, a_pending("1"))
    monkeypatch.setattr(RedisInspection, "pause", pause_then_cancel)
    with pytest.raises(asyncio.CancelledError):
        await broker.inspection.remove("q", force=True)
    assert not await r.exists("asynq:{q}:paused")


@pytest.mark.parametrize("failure", [BrokerError("away"), asyncio.CancelledError()])
async def test_a_removal_that_fails_leaves_the_queue_as_it_was(
    failure: BaseException, broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_container: Container, _size: int, _deleted: _Deleted) -> None:
        assert await r.exists(f"{Q}paused") == 1
        raise failure

    await put(broker, a_pending())
    monkeypatch.setattr(broker.inspection, "_empty", fail)
    with pytest.raises(type(failure)):
        await broker.inspection.remove("q", force=True)
    assert await r.exists(f"{Q}paused") == 0


async def test_a_removal_that_fails_leaves_a_paused_queue_paused(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_container: Container, _size: int, _deleted: _Deleted) -> None:
        raise BrokerError("away")

    await put(broker, a_pending())
    await broker.inspection.pause("q", paused=True)
    monkeypatch.setattr(broker.inspection, "_empty", fail)
    with pytest.raises(BrokerError, match="away"):
        await broker.inspection.remove("q", force=True)
    assert await r.exists(f"{Q}paused") == 1


async def test_a_queue_whose_name_is_no_text_can_be_asked_for(broker: RedisBroker) -> None:
    assert await broker.inspection.pause("\udcff", paused=True)
    info = await broker.inspection.queue_info("\udcff")
    assert (info.size, info.paused) == (0, True)
    assert await broker.inspection.pause("\udcff", paused=False)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"bank",
        b"\xff" * 12 + b"bank",
        a_message("1", error_msg="bank").SerializeToString()[:-1],
        a_message("1", error_msg="bank").SerializeToString() + b"\x80",
        a_message("1", error_msg="bank").SerializeToString() + b"\x42\xff\xff\xff\xff\x0fx",
        a_message("2", error_msg="bank").SerializeToString(),
        a_message("1", queue="p", error_msg="bank").SerializeToString(),
    ],
)
async def test_a_message_that_cannot_be_decoded_has_no_error(
    broker: RedisBroker, r: Redis, message: bytes
) -> None:
    await enqueue(broker, a_scheduled("1", at_s=FUTURE_S), a_scheduled("2", error_msg="bank"))
    await r.hset(task_key("1"), "msg", message)
    container = Container(queue="q", state=TaskState.SCHEDULED)
    found = await broker.inspection.find_errors(container, "bank", 0, 10)
    assert (found.ids, found.looked_at) == (["2"], 2)
    page = await broker.inspection.tasks(container, 0, 10)
    assert [task.id for task in page.tasks] == ["2"]


async def test_errors_of_large_tasks_are_looked_at_in_several_calls(
    broker: RedisBroker, r: Redis
) -> None:
    payload = b"p" * (MAX_BYTES // 3)
    tasks = [a_scheduled(f"{n}", payload=payload, error_msg="bank") for n in range(10)]
    for task in tasks:
        await enqueue(broker, task)
    container = Container(queue="q", state=TaskState.SCHEDULED)
    found = await broker.inspection.find_errors(container, "bank", 0, 100)
    assert (len(found.ids), found.looked_at) == (10, 10)
