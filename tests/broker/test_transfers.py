"""Every broker gives its tasks away with all that belongs to them, and takes those of another."""

from datetime import UTC, datetime

import pytest

from pyasynq.broker import Broker, Container, TaskCopy
from pyasynq.core.attempts import Attempt, record_attempt
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    PAST_S,
    a_grouped,
    a_message,
    a_pending,
    a_scheduled,
    a_staged_set,
    create,
    enqueue,
    ids,
    many_large,
    many_pending,
    one_of_each,
    settle,
    take,
)

pytestmark = pytest.mark.needs("transfers")

PENDING = Container(queue="q", state=TaskState.PENDING)
SCHEDULED = Container(queue="q", state=TaskState.SCHEDULED)
RETRY = Container(queue="q", state=TaskState.RETRY)
ARCHIVED = Container(queue="q", state=TaskState.ARCHIVED)
COMPLETED = Container(queue="q", state=TaskState.COMPLETED)
GROUP = Container(queue="q", state=TaskState.AGGREGATING, group="g")
DELAYED = [SCHEDULED, RETRY, ARCHIVED, COMPLETED]

every_container = pytest.mark.parametrize(
    "container", [PENDING, GROUP, *DELAYED], ids=lambda it: it.state.value
)


async def copies_of(broker: Broker, container: Container) -> list[TaskCopy]:
    """Return all tasks of *container*, which must be sound; at most 100."""
    copies = await broker.transfers.read(container, 0, 100)
    return [copy for copy in copies if copy is not None]


def a_copy(task_id: str = "1", *, at_s: int = 0, group_key: str = "") -> TaskCopy:
    return TaskCopy(message=a_message(task_id, group_key=group_key), at_s=at_s)


def an_attempt(retried: int) -> bytes:
    attempt = Attempt(retried=retried, failed_at=datetime.now(UTC), error="boom")
    return record_attempt(attempt, 5).data


# -- there and back --------------------------------------------------------------------------------


@every_container
async def test_a_task_that_is_given_away_and_taken_back_is_the_same(
    container: Container, broker: Broker
) -> None:
    await one_of_each(broker)
    before = await copies_of(broker, container)
    assert [copy.message.id for copy in before] == [container.state.value]
    assert await broker.inspection.apply(Action.DELETE, container, [container.state.value]) == 1
    assert await broker.transfers.write(container, before) == [None]
    assert await copies_of(broker, container) == before
    task = await broker.inspection.task("q", container.state.value)
    assert task is not None
    assert task.container == container
    assert task.info is not None


async def test_a_delayed_task_keeps_its_time(broker: Broker) -> None:
    await enqueue(broker, a_scheduled(at_s=FUTURE_S))
    (copy,) = await copies_of(broker, SCHEDULED)
    assert copy.at_s == FUTURE_S


async def test_a_task_keeps_its_failed_tries(broker: Broker) -> None:
    records = {slot: an_attempt(slot) for slot in (0, 3)}
    copy = TaskCopy(message=a_message("1"), at_s=FUTURE_S, attempts=records)
    assert await broker.transfers.write(ARCHIVED, [copy]) == [None]
    assert await copies_of(broker, ARCHIVED) == [copy]
    task = await broker.inspection.task("q", "1")
    assert task is not None
    assert task.info is not None
    assert [attempt.retried for attempt in task.info.attempts] == [0, 3]


async def test_a_task_keeps_its_result(broker: Broker) -> None:
    await one_of_each(broker)
    (copy,) = await copies_of(broker, COMPLETED)
    assert copy.result == b"done"
    written = await broker.transfers.write(
        COMPLETED, [TaskCopy(message=a_message("2"), at_s=FUTURE_S, result=b"other")]
    )
    assert written == [None]
    task = await broker.inspection.task("q", "2")
    assert task is not None
    assert task.info is not None
    assert task.info.result == b"other"


# -- read ------------------------------------------------------------------------------------------


async def test_tasks_are_read_in_order_from_any_place(broker: Broker) -> None:
    await enqueue(broker, *many_pending(10))
    copies = await broker.transfers.read(PENDING, 3, 4)
    assert [copy and copy.message.id for copy in copies] == ["3", "4", "5", "6"]
    assert await broker.transfers.read(PENDING, 10, 4) == []


async def test_a_queue_that_is_not_there_has_no_tasks(broker: Broker) -> None:
    assert await broker.transfers.read(PENDING, 0, 10) == []
    assert await broker.transfers.read(GROUP, 0, 10) == []


async def test_a_call_reads_a_bounded_number_of_bytes(broker: Broker) -> None:
    await create(broker, many_large(5))
    assert 1 <= len(await broker.transfers.read(PENDING, 0, 5)) <= 3


async def test_the_time_left_of_a_lock_is_read(broker: Broker) -> None:
    await enqueue(broker, a_pending(lock=LOCK), a_pending("2"))
    held, free = await copies_of(broker, PENDING)
    assert 0 < held.lock_s <= LOCK.ttl_s
    assert free.lock_s == 0


async def test_tasks_of_a_set_are_not_read(broker: Broker) -> None:
    await a_staged_set(broker, a_grouped("1"))
    assert await broker.transfers.read(GROUP, 0, 10) == []


# -- write -----------------------------------------------------------------------------------------


async def test_pending_tasks_follow_those_that_are_there(broker: Broker) -> None:
    await enqueue(broker, a_pending("0"))
    copies = [a_copy(str(n)) for n in range(1, 5)]
    assert await broker.transfers.write(PENDING, copies) == [None] * 4
    assert ids(await take(broker, 5)) == ["0", "1", "2", "3", "4"]


async def test_inspectors_know_the_queue(broker: Broker) -> None:
    await broker.transfers.write(PENDING, [a_copy()])
    assert await broker.inspection.queues() == ["q"]


async def test_an_id_that_is_taken_is_refused(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1"))
    conflict, written = await broker.transfers.write(PENDING, [a_copy("1"), a_copy("2")])
    assert isinstance(conflict, TaskIDConflictError)
    assert written is None
    assert ids(await take(broker, 5)) == ["2"]


async def test_a_lock_is_held_again_until_the_task_is_done(broker: Broker) -> None:
    await enqueue(broker, a_pending(lock=LOCK))
    copies = await copies_of(broker, PENDING)
    await broker.inspection.apply(Action.DELETE, PENDING, ["1"])
    assert await broker.transfers.write(PENDING, copies) == [None]
    (refusal,) = await create(broker, [a_pending("2", lock=LOCK)])
    assert isinstance(refusal, DuplicateTaskError)
    (lease,) = await take(broker)
    assert await settle(broker, lease, DONE)
    assert await create(broker, [a_pending("2", lock=LOCK)]) == [None]


async def test_a_task_whose_lock_another_one_holds_is_refused(broker: Broker) -> None:
    await enqueue(broker, a_pending("1", lock=LOCK))
    (copy,) = await copies_of(broker, PENDING)
    other = TaskCopy(message=a_message("2", unique_key=copy.message.unique_key), lock_s=copy.lock_s)
    (refusal,) = await broker.transfers.write(PENDING, [other])
    assert isinstance(refusal, DuplicateTaskError)
    assert ids(await take(broker, 5)) == ["1"]


async def test_a_lock_that_was_over_is_not_taken(broker: Broker) -> None:
    await enqueue(broker, a_pending("1", lock=LOCK))
    (copy,) = await copies_of(broker, PENDING)
    other = TaskCopy(message=a_message("2", unique_key=copy.message.unique_key))
    assert await broker.transfers.write(PENDING, [other]) == [None]


async def test_a_delayed_task_joins_its_group_when_it_is_due(broker: Broker) -> None:
    await enqueue(broker, a_scheduled(at_s=PAST_S, group_key="g"))
    copies = await copies_of(broker, SCHEDULED)
    assert [copy.group for copy in copies] == ["g"]
    await broker.inspection.apply(Action.DELETE, SCHEDULED, ["1"])
    assert await broker.transfers.write(SCHEDULED, copies) == [None]
    assert (await broker.upkeep.forward("q")).moved == 1
    assert [group.group for group in await broker.groups.group_sizes("q")] == ["g"]


async def test_a_task_that_has_left_its_group_does_not_join_it_again(broker: Broker) -> None:
    written = await broker.transfers.write(SCHEDULED, [a_copy(at_s=PAST_S, group_key="g")])
    assert written == [None]
    assert (await broker.upkeep.forward("q")).moved == 1
    assert ids(await take(broker)) == ["1"]


async def test_a_group_is_known_by_its_first_task(broker: Broker) -> None:
    now_s = int(datetime.now(UTC).timestamp())
    assert await broker.transfers.write(GROUP, [a_copy(at_s=now_s, group_key="g")]) == [None]
    assert [(it.group, it.size) for it in await broker.groups.group_sizes("q")] == [("g", 1)]
