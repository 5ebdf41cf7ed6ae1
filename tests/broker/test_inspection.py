"""Every broker reads its queues, and moves tasks for operators."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pyasynq.broker import (
    Broker,
    Container,
    Deleted,
    Matches,
    Move,
    Page,
    RemoveResult,
    StoredTask,
    UpdateResult,
)
from pyasynq.core.compose import Lock, Plan
from pyasynq.core.info import QueueInfo, TaskInfo
from pyasynq.core.policy import MAX_BYTES
from pyasynq.core.states import Action, TaskState
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    a_lease,
    a_message,
    a_pending,
    a_scheduled,
    enqueue,
    ids,
    many_pending,
    one_of_each,
    take,
)

PENDING = Container(queue="q", state=TaskState.PENDING)
SCHEDULED = Container(queue="q", state=TaskState.SCHEDULED)
ARCHIVED = Container(queue="q", state=TaskState.ARCHIVED)


async def stored_task(broker: Broker, task_id: str = "1") -> StoredTask:
    task = await broker.inspection.task("q", task_id)
    assert task is not None
    return task


async def task_info_of(broker: Broker, task_id: str = "1") -> TaskInfo:
    """Return the info of a task; its message must be decodable."""
    info = (await stored_task(broker, task_id)).info
    assert info is not None
    return info


async def ids_in(broker: Broker, container: Container) -> list[str]:
    """Return the ids of the tasks in *container* in order; at most 100."""
    page = await broker.inspection.tasks(container, 0, 100)
    assert not page.more
    return [task.id for task in page.tasks]


# -- read ------------------------------------------------------------------------------------------


async def test_queues_are_known_once_they_were_used(broker: Broker) -> None:
    assert await broker.inspection.queues() == await broker.inspection.queues(["q"]) == []
    await enqueue(broker, a_pending(), a_pending(queue="p"))
    assert await broker.inspection.queues() == ["p", "q"]


async def test_of_the_given_queues_the_known_ones_are_returned(broker: Broker) -> None:
    await enqueue(broker, a_pending(), a_pending(queue="p"), a_pending(queue="o"))
    assert await broker.inspection.queues(["q"]) == ["q"]
    assert await broker.inspection.queues(["x", "q", "y", "o"]) == ["o", "q"]
    assert await broker.inspection.queues(["x"]) == await broker.inspection.queues([]) == []


async def test_a_queue_that_is_not_there_is_empty(broker: Broker) -> None:
    info = await broker.inspection.queue_info("q")
    assert (info.size, info.processed, info.memory_usage, info.paused) == (0, 0, 0, False)
    assert await broker.inspection.tasks(PENDING, 0, 10) == Page(tasks=[], more=False)


async def test_a_queue_is_counted(broker: Broker) -> None:
    await a_lease(broker)
    await enqueue(broker, a_pending("2"), a_scheduled("3"))
    info = await broker.inspection.queue_info("q")
    assert (info.active, info.pending, info.scheduled, info.size) == (1, 1, 1, 3)


async def test_several_queues_are_counted_in_their_order(broker: Broker) -> None:
    await one_of_each(broker)
    await enqueue(broker, a_pending(queue="p"))
    found = await broker.inspection.queue_infos(["q", "none", "p"])
    one, none, other = (it for it in found if isinstance(it, QueueInfo))
    known = await broker.inspection.queue_info("q", memory=False)
    assert replace(one, timestamp=known.timestamp, latency=known.latency) == known
    assert (none.queue, none.size, other.queue, other.pending) == ("none", 0, "p", 1)
    assert list(await broker.inspection.queue_infos([])) == []


async def test_a_task_is_found_where_it_is(broker: Broker) -> None:
    await enqueue(broker, a_scheduled())
    task = await stored_task(broker)
    assert (task.container, task.staged, task.id) == (SCHEDULED, False, "1")
    assert task.message == a_message("1")
    info = await task_info_of(broker)
    assert (info.id, info.state) == ("1", TaskState.SCHEDULED)
    assert info.next_process_at == datetime.fromtimestamp(FUTURE_S, UTC)


async def test_a_task_that_is_not_there_is_not_found(broker: Broker) -> None:
    await enqueue(broker, a_pending(queue="p"))
    assert await broker.inspection.task("q", "1") is None


async def test_tasks_come_in_the_order_they_run(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"), a_pending("3"))
    delayed = [a_scheduled("b", at_s=FUTURE_S + 1), a_scheduled("a", at_s=FUTURE_S)]
    await enqueue(broker, *delayed, a_scheduled("c", at_s=FUTURE_S + 2))
    assert await ids_in(broker, PENDING) == ["1", "2", "3"]
    assert await ids_in(broker, SCHEDULED) == ["a", "b", "c"]


@pytest.mark.parametrize("make", [a_pending, a_scheduled])
@pytest.mark.parametrize(
    ("start", "count", "found_ids", "more"),
    [
        (0, 2, ["1", "2"], True),
        (0, 3, ["1", "2", "3"], False),
        (0, 4, ["1", "2", "3"], False),
        (1, 1, ["2"], True),
        (1, 2, ["2", "3"], False),
        (2, 1, ["3"], False),
        (3, 1, [], False),
        (9, 9, [], False),
    ],
)
async def test_a_page_tells_whether_there_is_more(
    make: Callable[[str], Plan],
    start: int,
    count: int,
    found_ids: list[str],
    more: bool,  # noqa: FBT001
    broker: Broker,
) -> None:
    await enqueue(broker, make("1"), make("2"), make("3"))
    container = PENDING if make is a_pending else SCHEDULED
    page = await broker.inspection.tasks(container, start, count)
    assert ([task.id for task in page.tasks], page.more) == (found_ids, more)


@pytest.mark.parametrize(("count", "more"), [(4, True), (5, False), (9, False)])
async def test_a_page_of_large_tasks_is_as_long_as_any_other(
    broker: Broker,
    count: int,
    more: bool,  # noqa: FBT001
) -> None:
    all_ids = [str(number) for number in range(5)]
    await enqueue(broker, *(a_pending(name, payload=bytes(MAX_BYTES // 2 + 1)) for name in all_ids))
    page = await broker.inspection.tasks(PENDING, 0, count)
    assert ([task.id for task in page.tasks], page.more) == (all_ids[:count], more)


# -- actions ---------------------------------------------------------------------------------------


async def test_run_tasks_follow_those_that_are_pending(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1"), a_scheduled("2"), a_pending("3"))
    assert await broker.inspection.apply(Action.RUN, SCHEDULED, ["1", "2", "4"]) == 2
    assert ids(await take(broker, 5)) == ["3", "1", "2"]


@pytest.mark.parametrize("action", [Action.ARCHIVE, Action.DELETE])
async def test_pending_tasks_are_taken_out_of_the_list(action: Move, broker: Broker) -> None:
    await enqueue(broker, *[a_pending(str(n)) for n in range(5)])
    assert await broker.inspection.apply(action, PENDING, ["3"]) == 1
    assert await broker.inspection.apply(action, PENDING, ["0", "2"]) == 2
    assert await ids_in(broker, PENDING) == ["1", "4"]


@pytest.mark.parametrize("action", [Action.ARCHIVE, Action.DELETE])
async def test_an_action_by_count_takes_the_tasks_that_run_next(
    action: Move, broker: Broker
) -> None:
    await enqueue(broker, *many_pending(5))
    assert await broker.inspection.apply(action, PENDING, 2) == 2
    assert await ids_in(broker, PENDING) == ["2", "3", "4"]
    assert (await broker.inspection.task("q", "1") is None) == (action is Action.DELETE)


async def test_an_action_by_count_takes_the_tasks_that_are_due_first(broker: Broker) -> None:
    due = {"late": FUTURE_S + 9, "soon": FUTURE_S, "then": FUTURE_S + 1}
    await enqueue(broker, *[a_scheduled(name, at_s=at_s) for name, at_s in due.items()])
    assert await broker.inspection.apply(Action.RUN, SCHEDULED, 2) == 2
    assert ids(await take(broker, 3)) == ["soon", "then"]
    assert await ids_in(broker, SCHEDULED) == ["late"]


FIELDS: dict[str, dict[str, Any]] = {
    "plain": {"error_msg": "SMTP: bank away"},
    "upper case": {"error_msg": "THE BANK"},
    "no error": {},
    "other error": {"error_msg": "b a n k"},
    "only in the payload": {"error_msg": "x", "payload": b"bank", "headers": {"a": "bank"}},
    "long": {"error_msg": "x" * 9000 + "bank", "payload": b"p" * 70_000},
    "at the end": {"error_msg": "bank", "type": "t" * 127},
    "large numbers": {
        "error_msg": "bank",
        "retry": 2**31 - 1,
        "retried": -1,
        "timeout": -(2**63),
        "deadline": 2**63 - 1,
        "headers": {"a": "b" * 300, "c": ""},
    },
    "beyond ASCII": {"error_msg": "Größe: bank \N{EURO SIGN}", "type": "größe"},
}


async def test_tasks_are_found_by_their_last_error(broker: Broker) -> None:
    tasks = [
        a_scheduled(name, at_s=FUTURE_S + n, **fields)
        for n, (name, fields) in enumerate(FIELDS.items())
    ]
    await enqueue(broker, *tasks, a_pending("pending", error_msg="bank"))
    found = await broker.inspection.find_errors(SCHEDULED, "Bank", 0, 100)
    assert found.ids == [
        it.id
        for it in (await broker.inspection.tasks(SCHEDULED, 0, 100)).tasks
        if "bank" in (it.last_error or "").lower()
    ]
    assert (len(found.ids), found.looked_at) == (6, 9)


async def test_errors_are_looked_for_in_a_part_of_the_tasks(broker: Broker) -> None:
    await enqueue(
        broker,
        *[a_scheduled(f"{n:04}", at_s=FUTURE_S + n, error_msg="ab"[n % 2]) for n in range(2500)],
    )
    found = await broker.inspection.find_errors(SCHEDULED, "b", 100, 1500)
    assert list(found.ids) == [f"{n:04}" for n in range(101, 1600, 2)]
    assert found.looked_at == 1500
    rest = await broker.inspection.find_errors(SCHEDULED, "b", 2400, 1000)
    assert (len(rest.ids), rest.looked_at) == (50, 100)
    assert await broker.inspection.find_errors(SCHEDULED, "b", 2500, 10) == Matches(
        ids=[], looked_at=0
    )


async def test_tasks_are_deleted_by_their_last_error(broker: Broker) -> None:
    tasks = [
        a_scheduled(name, at_s=FUTURE_S + n, **fields)
        for n, (name, fields) in enumerate(FIELDS.items())
    ]
    await enqueue(broker, *tasks)
    found = await broker.inspection.find_errors(SCHEDULED, "Bank", 0, 100)
    before = await ids_in(broker, SCHEDULED)
    done = await broker.inspection.delete_errors(SCHEDULED, "Bank", 0, 100)
    assert done == Deleted(deleted=len(found.ids), looked_at=9)
    assert await ids_in(broker, SCHEDULED) == [it for it in before if it not in found.ids]
    assert await broker.inspection.task("q", found.ids[0]) is None


async def test_a_task_that_is_deleted_by_its_error_releases_its_lock(broker: Broker) -> None:
    lock = Lock(digest="1", ttl_s=100)
    await enqueue(broker, a_scheduled("1", lock=lock, error_msg="bank"))
    await broker.inspection.delete_errors(SCHEDULED, "bank", 0, 10)
    await enqueue(broker, a_scheduled("2", lock=lock))
    assert await ids_in(broker, SCHEDULED) == ["2"]


async def test_tasks_are_deleted_by_their_error_among_a_part_of_the_tasks(broker: Broker) -> None:
    await enqueue(
        broker,
        *[a_scheduled(f"{n:04}", at_s=FUTURE_S + n, error_msg="ab"[n % 2]) for n in range(1600)],
    )
    done = await broker.inspection.delete_errors(SCHEDULED, "b", 100, 1000)
    assert done == Deleted(deleted=500, looked_at=1000)
    left = (await broker.inspection.tasks(SCHEDULED, 0, 1600)).tasks
    assert [it.id for it in left] == [
        f"{n:04}" for n in range(1600) if n % 2 == 0 or not 100 <= n < 1100
    ]
    done = await broker.inspection.delete_errors(SCHEDULED, "b", 1100, 10)
    assert done == Deleted(deleted=0, looked_at=0)


async def test_an_action_by_count_returns_the_number_of_tasks(broker: Broker) -> None:
    await enqueue(broker, *many_pending(3), a_scheduled("delayed"))
    assert await broker.inspection.apply(Action.DELETE, PENDING, 0) == 0
    assert await broker.inspection.apply(Action.DELETE, SCHEDULED, 0) == 0
    assert await broker.inspection.apply(Action.DELETE, PENDING, 10) == 3
    assert await broker.inspection.apply(Action.DELETE, PENDING, 10) == 0
    assert await ids_in(broker, SCHEDULED) == ["delayed"]


async def test_one_action_moves_a_thousand_tasks(broker: Broker) -> None:
    await enqueue(broker, *many_pending(1001))
    assert await broker.inspection.apply(Action.ARCHIVE, PENDING, 1000) == 1000
    assert await ids_in(broker, PENDING) == ["1000"]


async def test_a_task_that_was_taken_meanwhile_is_left_alone(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await take(broker, 1)
    assert await broker.inspection.apply(Action.DELETE, PENDING, ["1", "2"]) == 1
    assert await broker.inspection.apply(Action.ARCHIVE, PENDING, ["1"]) == 0
    assert await broker.inspection.task("q", "2") is None
    assert (await task_info_of(broker)).state is TaskState.ACTIVE


async def test_a_task_that_has_changed_is_not_updated(broker: Broker) -> None:
    await enqueue(broker, a_scheduled())
    task, revised = await stored_task(broker), a_message(type="u")
    assert await broker.inspection.update(task, revised) is UpdateResult.DONE
    assert await broker.inspection.update(task, revised) is UpdateResult.CHANGED
    assert (await task_info_of(broker)).type == "u"


async def test_a_lock_moves_only_to_a_free_place(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", lock=LOCK), a_scheduled("2"))
    task = await stored_task(broker)
    revised = a_message(unique_key="asynq:{q}:unique:t:other")
    assert await broker.inspection.update(task, revised) is UpdateResult.DONE
    await enqueue(broker, a_pending("3", lock=LOCK))
    back = a_message(unique_key="asynq:{q}:unique:t:0cc1")
    assert await broker.inspection.update(await stored_task(broker), back) is UpdateResult.LOCKED


async def test_a_delayed_task_is_given_another_time(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", at_s=FUTURE_S), a_scheduled("2", at_s=FUTURE_S + 1))
    updated = await broker.inspection.update(await stored_task(broker), FUTURE_S + 2)
    assert updated is UpdateResult.DONE
    assert await ids_in(broker, SCHEDULED) == ["2", "1"]
    at = datetime.fromtimestamp(FUTURE_S + 2, UTC)
    assert (await task_info_of(broker)).next_process_at == at


async def test_a_task_that_is_due_already_is_not_rescheduled(broker: Broker) -> None:
    await enqueue(broker, a_scheduled())
    task = await stored_task(broker)
    await broker.inspection.apply(Action.RUN, SCHEDULED, ["1"])
    assert await broker.inspection.update(task, FUTURE_S + 1) is UpdateResult.CHANGED
    assert await ids_in(broker, SCHEDULED) == []
    assert await ids_in(broker, PENDING) == ["1"]


async def test_a_queue_is_paused_once(broker: Broker) -> None:
    for paused in (True, False):
        assert await broker.inspection.pause("q", paused=paused)
        assert not await broker.inspection.pause("q", paused=paused)
        assert (await broker.inspection.queue_info("q")).paused is paused


# -- remove ----------------------------------------------------------------------------------------


async def test_a_removed_queue_leaves_nothing(broker: Broker) -> None:
    await enqueue(broker, a_pending("1", lock=LOCK), a_scheduled("2"))
    assert await broker.inspection.remove("q", force=False) is RemoveResult.NOT_EMPTY
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await broker.inspection.queues() == []
    assert await broker.inspection.task("q", "1") is None


async def test_a_queue_with_running_tasks_is_not_removed(broker: Broker) -> None:
    await a_lease(broker)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.ACTIVE
    assert not (await broker.inspection.queue_info("q")).paused


async def test_a_paused_queue_that_is_not_removed_stays_paused(broker: Broker) -> None:
    await a_lease(broker)
    await enqueue(broker, a_pending("2"))
    await broker.inspection.pause("q", paused=True)
    assert await broker.inspection.remove("q", force=False) is RemoveResult.ACTIVE
    assert await broker.inspection.remove("q", force=True) is RemoveResult.ACTIVE
    assert (await broker.inspection.queue_info("q")).paused


async def test_a_paused_queue_that_is_removed_is_not_paused_when_it_comes_back(
    broker: Broker,
) -> None:
    await enqueue(broker, a_pending())
    await broker.inspection.pause("q", paused=True)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    await enqueue(broker, a_pending("2"))
    assert ids(await take(broker)) == ["2"]


async def test_a_queue_of_thousands_is_removed(broker: Broker) -> None:
    await enqueue(broker, *many_pending(2500))
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert (await broker.inspection.queue_info("q")).size == 0
    assert await broker.inspection.task("q", "0") is None
