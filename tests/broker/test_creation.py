"""Every broker accepts a task once, and returns an answer for each task of a batch."""

import pytest

from pyasynq.broker import Broker, NewTask, NotCreated, Receipt, ReplacesSet, Tick, TickResult
from pyasynq.core.compose import Plan
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.verdict import DONE
from tests.support.factories import (
    LOCK,
    PAST_S,
    a_grouped,
    a_lease,
    a_pending,
    a_scheduled,
    a_staged_set,
    create,
    enqueue,
    ids,
    many_pending,
    settle,
    take,
)

PLANS = [a_pending(), a_scheduled(), a_grouped()]
UNIQUE = [a_pending(lock=LOCK), a_scheduled(lock=LOCK), a_grouped(lock=LOCK)]

every_plan = pytest.mark.parametrize("plan", PLANS, ids=["pending", "scheduled", "grouped"])
every_unique = pytest.mark.parametrize("plan", UNIQUE, ids=["pending", "scheduled", "grouped"])


@every_plan
async def test_a_task_is_accepted(plan: Plan, broker: Broker) -> None:
    assert await create(broker, [plan]) == [None]


@every_plan
async def test_an_id_that_is_taken_is_refused(plan: Plan, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    (refusal,) = await create(broker, [plan])
    assert isinstance(refusal, TaskIDConflictError)
    assert (refusal.queue, refusal.task_id) == ("q", "1")


@every_unique
async def test_a_held_lock_refuses_a_second_task(plan: Plan, broker: Broker) -> None:
    await enqueue(broker, a_pending("other", lock=LOCK))
    (refusal,) = await create(broker, [plan])
    assert isinstance(refusal, DuplicateTaskError)
    assert (refusal.queue, refusal.type) == ("q", "t")


@every_unique
async def test_a_conflict_leaves_no_lock_behind(plan: Plan, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    await create(broker, [plan])
    await enqueue(broker, a_pending("2", lock=LOCK))


async def test_a_lock_is_free_again_once_the_task_is_done(broker: Broker) -> None:
    lease = await a_lease(broker, a_pending("1", lock=LOCK))
    await settle(broker, lease, DONE)
    await enqueue(broker, a_pending("2", lock=LOCK))


async def test_an_id_is_free_again_once_the_task_is_done(broker: Broker) -> None:
    await settle(broker, await a_lease(broker), DONE)
    await enqueue(broker, a_pending())


async def test_a_batch_that_mixes_kinds_and_queues_is_answered_task_by_task(
    broker: Broker,
) -> None:
    await enqueue(broker, a_pending("taken"), a_pending("holder", queue="r", lock=LOCK))
    answers = await create(
        broker,
        [
            a_pending("1"),
            a_grouped("taken"),
            a_scheduled("2", queue="r"),
            a_pending("3", queue="r", lock=LOCK),
            a_grouped("4", queue="r"),
            a_pending("5", lock=LOCK),
        ],
    )
    assert [type(answer) for answer in answers] == [
        type(None),
        TaskIDConflictError,
        type(None),
        DuplicateTaskError,
        type(None),
        type(None),
    ]


async def test_the_same_id_twice_in_a_batch_is_accepted_once(broker: Broker) -> None:
    first, second = await create(broker, [a_pending("1"), a_pending("1")])
    assert first is None
    assert isinstance(second, TaskIDConflictError)


async def test_the_same_id_may_be_in_two_queues(broker: Broker) -> None:
    await enqueue(broker, a_pending("1", queue="q"), a_pending("1", queue="r"))


async def test_a_batch_is_taken_in_its_order(broker: Broker) -> None:
    await enqueue(broker, *many_pending(100))
    assert ids(await take(broker, 100)) == [str(n) for n in range(100)]


async def test_a_batch_of_many_is_taken_whole(broker: Broker) -> None:
    await enqueue(broker, *many_pending(300))
    assert set(ids(await take(broker, 300))) == {str(n) for n in range(300)}


async def test_a_task_whose_time_has_come_waits_for_the_forwarder(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", at_s=PAST_S))
    assert await take(broker) == []
    await broker.upkeep.forward("q")
    assert ids(await take(broker)) == ["1"]


async def test_an_empty_batch_is_answered_with_nothing(broker: Broker) -> None:
    assert await create(broker, []) == []


async def test_of_a_batch_the_first_with_an_id_is_accepted_whatever_its_kind(
    broker: Broker,
) -> None:
    plans = [a_pending("1"), a_scheduled("2"), a_pending("2"), a_grouped("1")]
    answers = await create(broker, plans)
    assert answers[:2] == [None, None]
    assert [type(answer) for answer in answers[2:]] == [TaskIDConflictError, TaskIDConflictError]


async def test_of_a_batch_the_first_with_a_lock_is_accepted_whatever_its_kind(
    broker: Broker,
) -> None:
    plans = [a_pending("1"), a_grouped("2", lock=LOCK), a_pending("3", lock=LOCK)]
    answers = await create(broker, plans)
    assert [type(answer) for answer in answers] == [type(None), type(None), DuplicateTaskError]


@pytest.mark.needs("groups")
async def test_of_a_batch_tasks_with_guards_and_without_are_created_in_their_order(
    broker: Broker,
) -> None:
    group_set = await a_staged_set(broker, a_grouped("part"))
    tick = Tick(entry_id="e", known_s=PAST_S, at_s=PAST_S, ttl_s=100)
    tasks = [
        NewTask(a_pending("1")),
        NewTask(a_pending("2", lock=LOCK), tick),
        NewTask(a_pending("3", lock=LOCK)),
        NewTask(a_scheduled("4"), Receipt(row="row", ttl_s=100)),
        NewTask(a_pending("5"), Receipt(row="row", ttl_s=100)),
        NewTask(a_pending("6"), ReplacesSet(group_set=group_set)),
        NewTask(a_pending("7"), ReplacesSet(group_set=group_set)),
        NewTask(a_pending("8")),
    ]
    answers = await broker.creation.create(tasks)
    assert answers[:2] == [None, TickResult(last_s=PAST_S, moved=True)]
    assert isinstance(answers[2], DuplicateTaskError)
    assert answers[3:] == [None, NotCreated(), None, NotCreated(), None]
    assert {*ids(await take(broker, 9))} == {"1", "2", "6", "8"}
