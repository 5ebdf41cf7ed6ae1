"""Every broker creates the tasks that follow another in the step that ends it, or not at all."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
import pytest

from pyasynq.broker import Broker, Container, Lease
from pyasynq.core.compose import Plan
from pyasynq.core.policy import MAX_TASKS
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import DONE, Verdict
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    PAST_S,
    a_grouped,
    a_lease,
    a_pending,
    a_scheduled,
    archived,
    completed,
    create,
    enqueue,
    ids,
    many_pending,
    retried,
    settle,
    take,
)

Ending: TypeAlias = Callable[[Lease], Verdict]


def done(_lease: Lease) -> Verdict:
    return DONE


ENDINGS = [done, completed, archived]
every_ending = pytest.mark.parametrize("ending", ENDINGS, ids=lambda it: it.__name__)


def followed(verdict: Verdict, *plans: Plan) -> Verdict:
    """Return *verdict* with the tasks that follow."""
    return msgspec.structs.replace(verdict, then=plans)


async def deliver(broker: Broker, queue: str = "q") -> int:
    """Deliver all mail of *queue*; return how many letters there were."""
    if not broker.supports("mail"):
        return 0
    delivered = 0
    while (delivery := await broker.mail.deliver(queue)).delivered:
        delivered += delivery.delivered
    assert delivery.error is None
    return delivered


async def waiting(broker: Broker, state: TaskState, queue: str = "q") -> Sequence[str]:
    """Return the ids of the tasks of *queue* in *state*."""
    container = Container(queue=queue, state=state)
    return [task.id for task in (await broker.inspection.tasks(container, 0, 1000)).tasks]


@every_ending
async def test_a_task_follows_one_that_ends(broker: Broker, ending: Ending) -> None:
    lease = await a_lease(broker)
    follower = a_pending("2", payload=b"p")
    assert await settle(broker, lease, followed(ending(lease), follower)) is True
    (next_lease,) = await take(broker, 5)
    assert next_lease.message == follower.message


@every_ending
async def test_tasks_follow_in_other_queues(broker: Broker, ending: Ending) -> None:
    lease = await a_lease(broker)
    plans = [a_pending(queue, queue=queue, payload=b"p") for queue in ("r", "s")]
    assert await settle(broker, lease, followed(ending(lease), *plans)) is True
    await deliver(broker)
    assert [(await take(broker, queue=q))[0].message for q in ("r", "s")] == [
        plan.message for plan in plans
    ]
    assert {"r", "s"} <= {*await broker.inspection.queues()}


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_tasks_that_follow_keep_their_order(broker: Broker, queue: str) -> None:
    lease = await a_lease(broker)
    plans = [a_pending(f"{n}", queue=queue) for n in range(2, 6)]
    await settle(broker, lease, followed(DONE, *plans))
    await deliver(broker)
    assert ids(await take(broker, 9, queue=queue)) == ["2", "3", "4", "5"]


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_task_that_follows_may_be_scheduled(broker: Broker, queue: str) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, followed(DONE, a_scheduled("2", at_s=FUTURE_S, queue=queue)))
    await deliver(broker)
    assert await waiting(broker, TaskState.SCHEDULED, queue) == ["2"]
    assert await take(broker, queue=queue) == []


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_task_that_follows_may_join_a_group(broker: Broker, queue: str) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, followed(DONE, a_grouped("2", queue=queue)))
    await deliver(broker)
    (group,) = await broker.groups.group_sizes(queue)
    assert (group.group, group.size) == ("g", 1)


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_task_that_follows_takes_its_lock(broker: Broker, queue: str) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, followed(DONE, a_pending("2", lock=LOCK, queue=queue)))
    await deliver(broker)
    (refusal,) = await create(broker, [a_pending("3", lock=LOCK, queue=queue)])
    assert type(refusal).__name__ == "DuplicateTaskError"


async def test_a_task_may_be_followed_by_one_with_its_id_and_its_lock(broker: Broker) -> None:
    lease = await a_lease(broker, a_pending("1", lock=LOCK))
    await settle(broker, lease, followed(DONE, a_pending("1", lock=LOCK, payload=b"again")))
    (again,) = await take(broker)
    assert (again.id, again.message.payload) == ("1", b"again")


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_task_whose_id_is_taken_is_left_out_and_logged(
    broker: Broker, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await a_lease(broker)
    await enqueue(broker, a_pending("2", queue=queue, payload=b"first"))
    plans = [a_pending("2", queue=queue, payload=b"second"), a_pending("3", queue=queue)]
    with caplog.at_level(logging.WARNING, "pyasynq.broker"):
        assert await settle(broker, lease, followed(DONE, *plans)) is True
        await deliver(broker)
    taken = await take(broker, 5, queue=queue)
    assert [(it.id, it.message.payload) for it in taken] == [("2", b"first"), ("3", b"")]
    assert "a task follows another one, but" in caplog.text


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_task_whose_lock_is_held_is_left_out_and_logged(
    broker: Broker, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await a_lease(broker)
    await enqueue(broker, a_pending("2", lock=LOCK, queue=queue))
    with caplog.at_level(logging.WARNING, "pyasynq.broker"):
        await settle(broker, lease, followed(DONE, a_pending("3", lock=LOCK, queue=queue)))
        await deliver(broker)
    assert ids(await take(broker, 5, queue=queue)) == ["2"]
    assert "a task follows another one, but" in caplog.text


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_nothing_follows_a_verdict_that_comes_too_late(broker: Broker, queue: str) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, DONE)
    late = followed(DONE, a_pending("2", queue=queue))
    assert await settle(broker, lease, late) is False
    assert await deliver(broker) == 0
    assert await take(broker, queue=queue) == []


async def test_a_verdict_that_is_sent_twice_has_one_follower(broker: Broker) -> None:
    lease = await a_lease(broker)
    first, second = (followed(DONE, a_pending(name)) for name in ("2", "3"))
    answers = await broker.work.settle([(lease, first), (lease, second)])
    assert answers == [True, False]
    assert ids(await take(broker, 5)) == ["2"]


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_task_follows_one_whose_worker_is_gone(broker: Broker, queue: str) -> None:
    slow = await a_lease(broker, lease_s=-1)
    (recovered,) = (await broker.upkeep.expired("q")).leases
    verdict = followed(archived(recovered), a_pending("2", queue=queue))
    assert await settle(broker, recovered, verdict) is True
    late = followed(DONE, a_pending("3", queue=queue))
    assert await settle(broker, slow, late) is False
    await deliver(broker)
    assert ids(await take(broker, 5, queue=queue)) == ["2"]


async def test_verdicts_with_and_without_followers_are_written_together(broker: Broker) -> None:
    await enqueue(broker, *many_pending(4))
    first, second, third, fourth = await take(broker, 4)
    answers = await broker.work.settle(
        [
            (first, DONE),
            (second, followed(DONE, a_pending("a"))),
            (third, retried(third)),
            (fourth, followed(completed(fourth), a_pending("b", queue="r"))),
        ]
    )
    await deliver(broker)
    assert answers == [True] * 4
    assert ids(await take(broker, 9)) == ["a"]
    assert ids(await take(broker, 9, queue="r")) == ["b"]
    assert await waiting(broker, TaskState.RETRY) == [third.id]


async def test_more_followers_than_one_call_creates_are_all_created(broker: Broker) -> None:
    count = 2 * MAX_TASKS
    await enqueue(broker, *many_pending(4))
    leases = await take(broker, 4)
    settled = [
        (lease, followed(DONE, *(a_pending(f"{lease.id}/{n}") for n in range(count // 4))))
        for lease in leases
    ]
    assert await broker.work.settle(settled) == [True] * 4
    assert len(await take(broker, count + 1)) == count


async def test_large_followers_in_another_queue_are_all_created(broker: Broker) -> None:
    lease = await a_lease(broker)
    plans = [a_pending(f"{n}", queue="r", payload=bytes(600_000)) for n in range(6)]
    await settle(broker, lease, followed(DONE, *plans))
    assert await deliver(broker) in {0, 6}  # SQLite has created them already
    info = await broker.inspection.queue_info("r")
    assert info.pending == 6


@pytest.mark.needs("mail")
async def test_a_queue_without_mail_has_none_to_deliver(broker: Broker) -> None:
    delivery = await broker.mail.deliver("q")
    assert (delivery.delivered, delivery.more, delivery.next_in_s) == (0, False, None)
    assert await broker.mail.letters("q", 0, 10) == []


async def test_a_follower_that_is_due_runs_when_it_is_forwarded(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, followed(DONE, a_scheduled("2", at_s=PAST_S)))
    await broker.upkeep.forward("q")
    assert ids(await take(broker)) == ["2"]
