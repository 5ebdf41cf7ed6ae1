"""Every broker creates tasks all together, or none of them, also if the client dies half-way."""

from collections.abc import Sequence

import pytest

from pyasynq.broker import BatchRef, Broker, Container, RemoveResult
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.core.policy import MAX_BULK, MAX_TASKS
from pyasynq.core.states import Action, TaskState
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    a_grouped,
    a_pending,
    a_scheduled,
    create,
    enqueue,
    ids,
    many_pending,
    take,
)

BATCH = BatchRef(queue="q", id="b", home="q")
OTHER = BatchRef(queue="r", id="b", home="q")
MANY = 2 * MAX_TASKS + 1


async def stage(broker: Broker, *plans: Plan, batch: BatchRef = BATCH, first: int = 0) -> None:
    await broker.batches.stage(batch, plans, first=first)


async def release_all(broker: Broker, batch: BatchRef = BATCH) -> list[int]:
    """Release the tasks of *batch*; return how many each step has released."""
    steps: list[int] = []
    while step := await broker.batches.release(batch):
        steps.append(step)
    return steps


async def waiting(broker: Broker, state: TaskState = TaskState.PENDING) -> Sequence[str]:
    """Return the ids of the tasks of the queue in *state*."""
    container = Container(queue="q", state=state)
    return [task.id for task in (await broker.inspection.tasks(container, 0, 10_000)).tasks]


async def is_clean(broker: Broker) -> bool:
    """Return whether nothing of the queue is left: only then it can be removed without force."""
    return await broker.inspection.remove("q", force=False) is RemoveResult.DONE


# -- all of them -----------------------------------------------------------------------------------


async def test_a_staged_task_is_not_taken(broker: Broker) -> None:
    await stage(broker, a_pending())
    assert await take(broker) == []
    assert await waiting(broker) == []


async def test_tasks_run_in_order_once_it_is_decided(broker: Broker) -> None:
    plans = many_pending(MANY)
    await stage(broker, *plans[:200])
    await stage(broker, *plans[200:], first=200)
    await broker.batches.commit([(BATCH, MANY)])
    assert await waiting(broker) == []
    assert await release_all(broker) == [MANY]
    assert ids(await take(broker, MANY)) == [f"{n}" for n in range(MANY)]


async def test_nothing_is_left_of_a_batch_but_its_tasks(broker: Broker) -> None:
    await stage(broker, a_pending())
    await broker.batches.commit([(BATCH, 1)])
    await release_all(broker)
    await broker.inspection.apply(
        Action.DELETE, Container(queue="q", state=TaskState.PENDING), ["1"]
    )
    assert await is_clean(broker)


async def test_tasks_are_released_in_steps(broker: Broker) -> None:
    plans = many_pending(MAX_BULK + 1)
    await stage(broker, *plans)
    await broker.batches.commit([(BATCH, len(plans))])
    assert await release_all(broker) == [MAX_BULK, 1]
    assert await waiting(broker) == [plan.message.id for plan in plans]


async def test_a_task_may_be_scheduled_or_join_a_group(broker: Broker) -> None:
    await stage(broker, a_scheduled("1", at_s=FUTURE_S), a_grouped("2"), a_pending("3"))
    await broker.batches.commit([(BATCH, 3)])
    assert await broker.groups.group_sizes("q") == []
    await release_all(broker)
    assert await waiting(broker, TaskState.SCHEDULED) == ["1"]
    (group,) = await broker.groups.group_sizes("q")
    assert (group.group, group.size) == ("g", 1)
    assert ids(await take(broker)) == ["3"]


async def test_inspectors_know_the_queue(broker: Broker) -> None:
    await stage(broker, a_pending())
    assert await broker.inspection.queues() == ["q"]


async def test_a_call_whose_answer_was_lost_can_be_made_again(broker: Broker) -> None:
    plans = many_pending(3)
    for _ in range(2):
        await stage(broker, *plans)
    for _ in range(2):
        await broker.batches.commit([(BATCH, 3)])
    await release_all(broker)
    assert ids(await take(broker, 9)) == ["0", "1", "2"]


# -- none of them ----------------------------------------------------------------------------------


async def test_a_task_whose_id_is_taken_is_refused(broker: Broker) -> None:
    await enqueue(broker, a_pending("taken"))
    with pytest.raises(TaskIDConflictError, match="taken"):
        await stage(broker, a_pending("1"), a_pending("taken"), a_pending("2"))
    assert await broker.batches.discard(BATCH)
    assert ids(await take(broker, 9)) == ["taken"]
    assert await broker.inspection.task("q", "1") is None


async def test_an_id_that_comes_twice_is_refused(broker: Broker) -> None:
    await stage(broker, a_pending("1"))
    with pytest.raises(TaskIDConflictError, match="1"):
        await stage(broker, a_pending("1"), first=1)


async def test_a_task_whose_lock_is_held_is_refused(broker: Broker) -> None:
    await enqueue(broker, a_pending("holder", lock=LOCK))
    with pytest.raises(DuplicateTaskError):
        await stage(broker, a_pending("1"), a_pending("2", lock=LOCK))


async def test_the_locks_of_discarded_tasks_are_free(broker: Broker) -> None:
    await stage(broker, a_pending("1", lock=LOCK))
    assert await broker.batches.discard(BATCH)
    assert await create(broker, [a_pending("2", lock=LOCK)]) == [None]


async def test_a_discarded_batch_leaves_nothing(broker: Broker) -> None:
    await stage(broker, *many_pending(MAX_BULK + 1))
    assert await broker.batches.discard(BATCH)
    assert await is_clean(broker)


async def test_a_discarded_batch_takes_no_more_tasks(broker: Broker) -> None:
    await stage(broker, a_pending("1"))
    await broker.batches.discard(BATCH)
    with pytest.raises(BrokerError, match="are gone"):
        await stage(broker, a_pending("2"), first=1)


async def test_a_batch_is_not_decided_unless_all_its_tasks_are_there(broker: Broker) -> None:
    await stage(broker, a_pending("1"))
    with pytest.raises(BrokerError, match="are gone"):
        await broker.batches.commit([(BATCH, 2)])
    assert await release_all(broker) == []
    assert await take(broker) == []


async def test_what_is_decided_cannot_be_discarded(broker: Broker) -> None:
    await stage(broker, a_pending())
    await broker.batches.commit([(BATCH, 1)])
    assert not await broker.batches.discard(BATCH)
    assert await release_all(broker) == [1]


# -- a client that dies ----------------------------------------------------------------------------


async def test_decided_tasks_of_a_client_that_died_are_released(broker: Broker) -> None:
    await stage(broker, *many_pending(MAX_BULK + 1))
    await broker.batches.commit([(BATCH, MAX_BULK + 1)])
    await broker.batches.release(BATCH)
    repair = await broker.batches.repair("q", idle_s=0)
    assert (repair.released, repair.discarded) == (1, 0)
    assert len(await waiting(broker)) == MAX_BULK + 1


async def test_staged_tasks_of_a_client_that_died_are_deleted(broker: Broker) -> None:
    await stage(broker, *many_pending(MAX_BULK + 1))
    repair = await broker.batches.repair("q", idle_s=0, staged_s=0)
    assert (repair.released, repair.discarded) == (0, 1)
    assert await is_clean(broker)


async def test_tasks_of_a_client_that_may_live_stay(broker: Broker) -> None:
    await stage(broker, a_pending("1"))
    await broker.batches.repair("q", idle_s=0)
    await stage(broker, a_pending("2"), first=1)
    await broker.batches.commit([(BATCH, 2)])
    await broker.batches.repair("q")
    assert await take(broker) == []
    assert await release_all(broker) == [2]


async def test_a_queue_without_batches_needs_no_repair(broker: Broker) -> None:
    repair = await broker.batches.repair("q", idle_s=0)
    assert (repair.released, repair.discarded, [*repair.broken]) == (0, 0, [])


# -- several queues --------------------------------------------------------------------------------


async def in_two_queues(broker: Broker) -> None:
    await stage(broker, a_pending("1"))
    await stage(broker, a_pending("2", queue="r"), batch=OTHER)


async def test_tasks_of_several_queues_are_decided_together(broker: Broker) -> None:
    await in_two_queues(broker)
    await broker.batches.commit([(BATCH, 1), (OTHER, 1)])
    for batch in (BATCH, OTHER):
        await release_all(broker, batch)
    assert ids(await take(broker)) == ["1"]
    assert ids(await take(broker, queue="r")) == ["2"]


async def test_what_is_kept_of_a_decision_does_not_keep_a_queue(broker: Broker) -> None:
    await in_two_queues(broker)
    await broker.batches.commit([(BATCH, 1), (OTHER, 1)])
    await release_all(broker)
    await broker.inspection.apply(
        Action.DELETE, Container(queue="q", state=TaskState.PENDING), ["1"]
    )
    assert await is_clean(broker)


# -- a queue that is removed -----------------------------------------------------------------------


async def test_a_queue_with_staged_tasks_is_not_empty(broker: Broker) -> None:
    await stage(broker, a_pending())
    assert not await is_clean(broker)
    await broker.batches.commit([(BATCH, 1)])
    assert not await is_clean(broker)
    assert await release_all(broker) == [1]


async def test_a_queue_is_removed_with_its_staged_tasks(broker: Broker) -> None:
    await stage(broker, *many_pending(MAX_BULK + 1))
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    with pytest.raises(BrokerError, match="are gone"):
        await broker.batches.commit([(BATCH, MAX_BULK + 1)])
    assert await create(broker, [a_pending("1")]) == [None]
