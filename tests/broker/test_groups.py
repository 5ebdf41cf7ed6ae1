"""Every broker combines the tasks of a group into one."""

from datetime import UTC, datetime

import pytest

from pyasynq.broker import (
    AggregationSet,
    Broker,
    Container,
    GroupedTask,
    GroupRules,
    NotCreated,
    Page,
    ReclaimResult,
    RemoveResult,
)
from pyasynq.core.compose import Lock, Plan
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.message import with_outcome
from pyasynq.core.states import Action, TaskState
from tests.support.factories import (
    LOCK,
    a_grouped,
    a_message,
    a_pending,
    a_scheduled,
    a_staged_set,
    combine,
    create,
    enqueue,
    ids,
    ids_of,
    postpone,
    take,
    tasks_in_set,
)

pytestmark = pytest.mark.needs("groups")

ONE = GroupRules(grace_s=3600, max_size=1)
TWO = GroupRules(grace_s=3600, max_size=2)
QUIET = GroupRules(grace_s=3600)
TWO_LOCKS = [Lock(digest="1", ttl_s=100), Lock(digest="2", ttl_s=100)]


def many_grouped(count: int) -> list[Plan]:
    """Return plans for tasks with the ids 000, 001 and so on."""
    return [a_grouped(f"{n:03}") for n in range(count)]


# -- ready -----------------------------------------------------------------------------------------


async def test_a_queue_without_groups_has_none_that_is_ready(broker: Broker) -> None:
    ready = await broker.groups.ready("q", ONE, server_id="me")
    assert (ready.names, ready.next_in_s) == ([], None)


async def test_a_group_is_ready_at_its_size(broker: Broker) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"), a_grouped("3", group="small"))
    assert (await broker.groups.ready("q", TWO, server_id="me")).names == ["g"]


async def test_a_group_that_is_not_ready_says_when_it_is(broker: Broker) -> None:
    await enqueue(broker, a_grouped())
    ready = await broker.groups.ready("q", GroupRules(grace_s=100), server_id="me")
    assert ready.names == []
    assert ready.next_in_s is not None
    assert 99 < ready.next_in_s <= 101


async def test_the_oldest_task_makes_a_group_ready_at_its_longest_delay(broker: Broker) -> None:
    await enqueue(broker, a_grouped())
    ready = await broker.groups.ready("q", GroupRules(grace_s=100, max_delay_s=50), server_id="me")
    assert ready.next_in_s is not None
    assert 48 < ready.next_in_s <= 50


async def test_hundreds_of_groups_are_all_found(broker: Broker) -> None:
    names = {f"group {n}" for n in range(300)}
    await enqueue(broker, *(a_grouped(name, group=name) for name in names))
    assert set((await broker.groups.ready("q", ONE, server_id="me")).names) == names


# -- stage -----------------------------------------------------------------------------------------


async def test_a_staged_set_has_the_tasks_of_its_group(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1", payload=b"p"), a_grouped("2"))
    tasks = await tasks_in_set(broker, group_set)
    assert [(task.id, task.failures) for task in tasks] == [("1", 0), ("2", 0)]
    assert tasks[0].message == a_message("1", payload=b"p", group_key="g")


async def test_a_group_that_is_not_ready_is_not_staged(broker: Broker) -> None:
    await enqueue(broker, a_grouped())
    assert await broker.groups.stage("q", "g", QUIET) is None


async def test_a_group_that_is_not_there_is_not_staged(broker: Broker) -> None:
    assert await broker.groups.stage("q", "g", ONE) is None


async def test_a_staged_task_is_not_staged_again(broker: Broker) -> None:
    await a_staged_set(broker, a_grouped())
    assert await broker.groups.stage("q", "g", ONE) is None
    assert (await broker.groups.ready("q", ONE, server_id="me")).names == []


async def test_at_most_the_given_size_is_staged_and_the_rest_waits(broker: Broker) -> None:
    group_set = await a_staged_set(broker, *many_grouped(3), max_size=2)
    assert ids_of(await tasks_in_set(broker, group_set)) == ["000", "001"]
    rest = await broker.groups.stage("q", "g", ONE)
    assert rest is not None
    assert ids_of(await tasks_in_set(broker, rest)) == ["002"]


async def test_hundreds_of_tasks_are_read_in_order(broker: Broker) -> None:
    group_set = await a_staged_set(broker, *many_grouped(300))
    read = ids_of(await tasks_in_set(broker, group_set))
    assert read == [f"{n:03}" for n in range(300)]


# -- combine ---------------------------------------------------------------------------------------


async def test_a_set_becomes_the_combined_task(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    assert await combine(broker, group_set, a_pending("c")) is None
    assert ids(await take(broker, 5)) == ["c"]


async def test_the_tasks_of_a_combined_set_are_gone(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    await combine(broker, group_set, a_pending("c"))
    assert await broker.groups.read_set(group_set) is None
    await enqueue(broker, a_pending("1"))


async def test_a_set_is_combined_once(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await combine(broker, group_set, a_pending("c"))
    assert await combine(broker, group_set, a_pending("d")) == NotCreated()
    assert ids(await take(broker, 5)) == ["c"]


async def test_a_set_that_was_put_back_is_not_combined(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await broker.groups.unstage(group_set)
    assert await combine(broker, group_set, a_pending("c")) == NotCreated()
    assert await take(broker, 5) == []


async def test_a_combined_task_may_be_delayed(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await combine(broker, group_set, a_scheduled("c", at_s=1))
    await broker.upkeep.forward("q")
    assert ids(await take(broker, 5)) == ["c"]


async def test_a_combined_task_may_join_a_group(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await combine(broker, group_set, a_grouped("c", group="other"))
    assert (await broker.groups.ready("q", ONE, server_id="me")).names == ["other"]


async def test_a_delayed_combined_task_may_join_a_group_when_it_is_due(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await combine(broker, group_set, a_scheduled("c", at_s=1, group_key="other"))
    await broker.upkeep.forward("q")
    assert (await broker.groups.ready("q", ONE, server_id="me")).names == ["other"]


async def test_combining_releases_the_locks_of_the_tasks(broker: Broker) -> None:
    locked = [a_grouped(str(n), lock=lock) for n, lock in enumerate(TWO_LOCKS)]
    group_set = await a_staged_set(broker, *locked)
    await combine(broker, group_set, a_pending("c"))
    await enqueue(broker, *(a_pending(lock.digest, lock=lock) for lock in TWO_LOCKS))


async def test_a_combined_task_takes_its_lock(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await combine(broker, group_set, a_pending("c", lock=LOCK))
    (answer,) = await create(broker, [a_pending("d", lock=LOCK)])
    assert isinstance(answer, DuplicateTaskError)


async def test_a_combined_task_may_take_over_the_lock_of_one_of_its_parts(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1", lock=LOCK))
    assert await combine(broker, group_set, a_pending("c", lock=LOCK)) is None
    (answer,) = await create(broker, [a_pending("d", lock=LOCK)])
    assert isinstance(answer, DuplicateTaskError)


async def test_a_lock_that_is_held_refuses_the_combined_task_and_keeps_the_set(
    broker: Broker,
) -> None:
    await enqueue(broker, a_pending("holder", lock=LOCK))
    group_set = await a_staged_set(broker, a_grouped())
    answer = await combine(broker, group_set, a_pending("c", lock=LOCK))
    assert isinstance(answer, DuplicateTaskError)
    assert ids_of(await tasks_in_set(broker, group_set)) == ["1"]


async def test_an_id_that_is_taken_refuses_the_combined_task_and_keeps_the_set(
    broker: Broker,
) -> None:
    await enqueue(broker, a_pending("c"))
    group_set = await a_staged_set(broker, a_grouped())
    answer = await combine(broker, group_set, a_pending("c"))
    assert isinstance(answer, TaskIDConflictError)
    assert ids_of(await tasks_in_set(broker, group_set)) == ["1"]


# -- put back --------------------------------------------------------------------------------------


async def test_tasks_that_are_put_back_are_ready_again(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    assert await broker.groups.unstage(group_set) == 2
    assert (await broker.groups.ready("q", TWO, server_id="me")).names == ["g"]


async def test_a_set_is_put_back_once(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await broker.groups.unstage(group_set)
    assert await broker.groups.unstage(group_set) == 0
    assert await broker.groups.hold_set(group_set) is False
    assert await broker.groups.read_set(group_set) is None


async def test_a_set_that_is_held_is_not_reclaimed(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    assert (await broker.groups.reclaim("q")).tasks == 0
    assert await broker.groups.hold_set(group_set) is True


async def test_every_set_that_is_given_up_is_reclaimed(broker: Broker) -> None:
    one = await a_staged_set(broker, a_grouped("1"))
    two = await a_staged_set(broker, a_grouped("2"))
    await postpone(broker, one, wait_s=0)
    await postpone(broker, two, wait_s=0)
    assert (await broker.groups.reclaim("q")).tasks == 2
    assert (await broker.groups.ready("q", TWO, server_id="me")).names == ["g"]


# -- failures --------------------------------------------------------------------------------------


async def test_failures_are_counted_in_the_tasks_whatever_set_they_are_in(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    assert await postpone(broker, group_set, wait_s=0) is True
    await broker.groups.reclaim("q")
    again = await a_staged_set(broker, a_grouped("2"), max_size=2)
    assert [(m.id, m.failures) for m in await tasks_in_set(broker, again)] == [("1", 1), ("2", 0)]


async def test_a_postponed_set_is_reclaimed_when_its_time_has_come(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await postpone(broker, group_set, wait_s=100)
    assert (await broker.groups.reclaim("q")).tasks == 0


async def test_a_failure_is_counted_in_those_alone_that_failed(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    bad, _ = await tasks_in_set(broker, group_set)
    assert await broker.groups.postpone(group_set, [bad], wait_s=100) is True
    failures = {task.id: task.failures for task in await tasks_in_set(broker, group_set)}
    assert failures == {"1": 1, "2": 0}


async def test_a_set_that_was_put_back_is_not_postponed(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await broker.groups.unstage(group_set)
    assert await postpone(broker, group_set, wait_s=0) is False


async def test_an_archived_task_leaves_its_set(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    assert await broker.groups.archive(group_set, [_failed("1")]) == 1
    assert ids_of(await tasks_in_set(broker, group_set)) == ["2"]


async def test_a_set_without_tasks_is_gone(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    await broker.groups.archive(group_set, [_failed("1")])
    assert await broker.groups.read_set(group_set) is None


async def test_a_task_that_is_not_in_the_set_is_not_archived(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped("1"))
    await enqueue(broker, a_pending("2"))
    assert await broker.groups.archive(group_set, [_failed("2"), _failed("3")]) == 0


async def test_hundreds_of_tasks_are_archived(broker: Broker) -> None:
    group_set = await a_staged_set(broker, *many_grouped(300))
    tasks = await tasks_in_set(broker, group_set)
    assert await broker.groups.archive(group_set, tasks) == 300


# -- search ----------------------------------------------------------------------------------------


async def test_a_group_that_is_registered_need_not_be_found(broker: Broker) -> None:
    await enqueue(broker, a_grouped())
    assert await broker.groups.reclaim("q") == ReclaimResult(tasks=0, groups=0, next_in_s=60)


async def test_after_a_search_there_is_a_rest(broker: Broker) -> None:
    await broker.groups.reclaim("q")
    again = await broker.groups.reclaim("q")
    assert again.groups == 0
    assert 58 < again.next_in_s <= 60


async def test_sets_are_reclaimed_while_the_search_rests(broker: Broker) -> None:
    group_set = await a_staged_set(broker, a_grouped())
    await broker.groups.reclaim("q")
    await postpone(broker, group_set, wait_s=0)
    assert (await broker.groups.reclaim("q")).tasks == 1


# -- actions of operators --------------------------------------------------------------------------

GROUP = Container(queue="q", state=TaskState.AGGREGATING, group="g")


async def test_a_queue_without_groups_has_none(broker: Broker) -> None:
    assert await broker.groups.group_sizes("q") == []
    assert await broker.inspection.tasks(GROUP, 0, 10) == Page(tasks=[], more=False)


async def test_many_groups_are_all_counted(broker: Broker) -> None:
    await enqueue(broker, *[a_grouped(str(n), group=f"g{n:04}") for n in range(700)])
    groups = await broker.groups.group_sizes("q")
    assert [(group.group, group.size) for group in groups] == [(f"g{n:04}", 1) for n in range(700)]


async def test_staged_tasks_count_with_those_of_their_queue_but_not_of_their_group(
    broker: Broker,
) -> None:
    await a_staged_set(broker, a_grouped("1"), a_grouped("2"))
    await enqueue(broker, a_grouped("3"))
    assert [group.size for group in await broker.groups.group_sizes("q")] == [1]
    assert (await broker.inspection.queue_info("q")).aggregating == 3


async def test_a_grouped_task_is_found_in_its_group_until_it_is_staged(broker: Broker) -> None:
    await a_staged_set(broker, a_grouped("1"))
    await enqueue(broker, a_grouped("2"))
    tasks = [await broker.inspection.task("q", task_id) for task_id in ("1", "2")]
    assert [(task.container, task.staged) for task in tasks if task] == [
        (GROUP, True),
        (GROUP, False),
    ]


@pytest.mark.parametrize(
    ("start", "count", "found_ids", "more"),
    [
        (0, 2, ["4", "5"], True),
        (0, 3, ["4", "5", "1"], True),
        (0, 4, ["4", "5", "1", "2"], True),
        (0, 5, ["4", "5", "1", "2", "3"], False),
        (1, 2, ["5", "1"], True),
        (2, 2, ["1", "2"], True),
        (2, 3, ["1", "2", "3"], False),
        (3, 1, ["2"], True),
        (4, 1, ["3"], False),
        (5, 1, [], False),
    ],
)
async def test_a_page_of_a_group_goes_on_with_its_staged_tasks(
    start: int,
    count: int,
    found_ids: list[str],
    more: bool,  # noqa: FBT001
    broker: Broker,
) -> None:
    await a_staged_set(broker, a_grouped("1"), a_grouped("2"), a_grouped("3"))
    await a_staged_set(broker, a_grouped("other", group="h"), group="h")
    await enqueue(broker, a_grouped("4"), a_grouped("5"))
    page = await broker.inspection.tasks(GROUP, start, count)
    assert ([task.id for task in page.tasks], page.more) == (found_ids, more)


async def test_all_the_sets_of_a_group_are_behind_a_page(broker: Broker) -> None:
    await a_staged_set(broker, a_grouped("1"))
    await a_staged_set(broker, a_grouped("2"))
    pages = [await broker.inspection.tasks(GROUP, start, 1) for start in range(3)]
    assert [(len(page.tasks), page.more) for page in pages] == [(1, True), (1, False), (0, False)]


async def test_run_tasks_of_a_group_follow_those_that_are_pending(broker: Broker) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"), a_pending("3"))
    assert await broker.inspection.apply(Action.RUN, GROUP, ["1", "2", "4"]) == 2
    assert ids(await take(broker, 5)) == ["3", "1", "2"]
    assert await broker.groups.group_sizes("q") == []


async def test_an_action_by_count_takes_no_staged_task(broker: Broker) -> None:
    await a_staged_set(broker, a_grouped("1"))
    await enqueue(broker, a_grouped("2"), a_grouped("3"))
    assert await broker.inspection.apply(Action.RUN, GROUP, 1) == 1
    assert await broker.inspection.apply(Action.DELETE, GROUP, 10) == 1
    page = await broker.inspection.tasks(GROUP, 0, 10)
    assert [task.id for task in page.tasks] == ["1"]


async def test_a_queue_with_a_group_is_not_removed_without_force(broker: Broker) -> None:
    await enqueue(broker, a_grouped())
    assert await broker.inspection.remove("q", force=False) is RemoveResult.NOT_EMPTY
    group_set = await broker.groups.stage("q", "g", ONE)
    assert await broker.inspection.remove("q", force=False) is RemoveResult.NOT_EMPTY
    assert group_set is not None
    assert await broker.groups.hold_set(group_set)


async def test_a_queue_is_removed_with_its_groups_and_staged_sets(broker: Broker) -> None:
    await a_staged_set(broker, *many_grouped(2))
    await enqueue(broker, *[a_grouped(f"h{n}", group=f"h{n}") for n in range(300)])
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert (await broker.inspection.queue_info("q")).size == 0
    assert [await broker.inspection.task("q", name) for name in ("000", "h0")] == [None, None]


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["*", "[a-z]", "a?", "\\", "päckchen", "a:b", ":"])
async def test_a_group_may_have_any_name(name: str, broker: Broker) -> None:
    await enqueue(broker, a_grouped("1", group=name))
    group_set = await broker.groups.stage("q", name, ONE)
    assert group_set is not None
    assert await broker.groups.unstage(group_set) == 1
    assert (await broker.groups.ready("q", ONE, server_id="me")).names == [name]
    again = await broker.groups.stage("q", name, ONE)
    assert again is not None
    assert await combine(broker, again, a_pending("c")) is None


async def test_queues_do_not_mix(broker: Broker) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("1", queue="r"))
    group_set = await broker.groups.stage("q", "g", ONE)
    assert group_set == AggregationSet(queue="q", group="g", id=group_set.id if group_set else "")
    assert (await broker.groups.ready("r", ONE, server_id="me")).names == ["g"]


def _failed(task_id: str) -> GroupedTask:
    message = with_outcome(a_message(task_id), error="boom", failed_at=datetime.now(UTC))
    return GroupedTask(id=task_id, message=message, failures=4)
