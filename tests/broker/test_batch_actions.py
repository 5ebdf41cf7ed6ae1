"""Every broker cancels batches, and runs failed members again."""

import pytest

from pyasynq.broker import Broker, Container
from pyasynq.core.batch import BatchPlan, member_id
from pyasynq.core.policy import MAX_BULK
from pyasynq.core.report import place_of
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE
from tests.broker.test_batches import is_clean, release_all
from tests.broker.test_counted_batches import (
    BATCH,
    PLAN,
    a_member,
    an_outcome,
    counts,
    end,
    fail,
    follower,
    reported,
    start,
)
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    a_pending,
    a_scheduled,
    archived,
    enqueue,
    ids,
    take,
)

pytestmark = pytest.mark.needs("batches")

ARCHIVED = Container(queue="q", state=TaskState.ARCHIVED)


async def fail_all(broker: Broker, count: int) -> None:
    """Start a batch whose members all fail, and take what follows."""
    for lease in await start(broker, count):
        await fail(broker, lease)
    await follower(broker)


async def fail_many(broker: Broker, count: int) -> None:
    """Do the same for many members, of which some hundred end in each call."""
    await broker.batches.stage(BATCH, [a_member(number) for number in range(count)], first=0)
    await broker.batches.start(BATCH, count, PLAN)
    await release_all(broker)
    while leases := await take(broker, 128):
        failures = [
            (lease, reported(archived(lease), of.member, "failed"))
            for lease in leases
            if (of := place_of(lease.message))
        ]
        if not failures:
            break
        await broker.work.settle(failures)


# -- retry -----------------------------------------------------------------------------------------


async def test_failed_members_run_again(broker: Broker) -> None:
    first, second, third = await start(broker, 3)
    await fail(broker, first)
    await end(broker, second)
    await fail(broker, third)
    await follower(broker)
    assert await broker.batches.retry("q", "b") is True
    assert await counts(broker) == ("running", 3, 1, 0)
    again = await take(broker, 9)
    assert ids(again) == ["b:0", "b:2"]
    for lease in again:
        await end(broker, lease)
    assert await follower(broker) == ("then:1", an_outcome(3))
    assert await counts(broker) == ("succeeded", 3, 3, 0)


async def test_members_that_fail_again_fail_the_batch_again(broker: Broker) -> None:
    await fail_all(broker, 2)
    await broker.batches.retry("q", "b")
    first, second = await take(broker, 9)
    await end(broker, first)
    await fail(broker, second)
    assert await follower(broker) == ("failed:1", an_outcome(2, 1))
    assert await broker.batches.failed_members("q", "b") == ["b:1"]
    assert await broker.batches.retry("q", "b") is True
    assert ids(await take(broker, 9)) == ["b:1"]


async def test_a_member_that_runs_again_has_all_its_retries(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    lease.message.retried = lease.message.retry
    await fail(broker, lease)
    await follower(broker)
    await broker.batches.retry("q", "b")
    (again,) = await take(broker)
    assert (again.message.retried, again.message.error_msg) == (0, "boom")


async def test_a_batch_is_retried_only_if_it_has_failed(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    assert await broker.batches.retry("q", "b") is False
    await end(broker, lease)
    assert await broker.batches.retry("q", "b") is False
    assert await broker.batches.retry("q", "gone") is False


async def test_a_member_whose_task_is_gone_stays_failed(broker: Broker) -> None:
    await fail_all(broker, 2)
    await broker.inspection.apply(Action.DELETE, ARCHIVED, ["b:0"])
    await broker.batches.retry("q", "b")
    (lease,) = await take(broker, 9)
    assert lease.id == "b:1"
    await end(broker, lease)
    assert await follower(broker) == ("failed:1", an_outcome(2, 1))
    assert await broker.batches.failed_members("q", "b") == ["b:0"]


async def test_a_batch_ends_if_no_failed_member_is_left(broker: Broker) -> None:
    await fail_all(broker, 2)
    await broker.inspection.apply(Action.DELETE, ARCHIVED, ["b:0", "b:1"])
    assert await broker.batches.retry("q", "b") is True
    assert await follower(broker) == ("failed:1", an_outcome(2, 2))


async def test_many_failed_members_run_again_as_others_end(broker: Broker) -> None:
    count = 2 * MAX_BULK + 100
    await fail_many(broker, count)
    await broker.batches.retry("q", "b")
    seen: list[str] = []
    while leases := await take(broker, 128):
        seen += ids(leases)
        ended = [(lease, reported(DONE, int(lease.id.rpartition(":")[2]))) for lease in leases]
        if "then:1" in ids(leases):
            break
        await broker.work.settle(ended)
    assert sorted(seen[:-1]) == sorted(member_id("b", number) for number in range(count))
    assert await counts(broker) == ("succeeded", count, count, 0)


# -- cancel ----------------------------------------------------------------------------------------


async def test_members_that_wait_are_deleted_when_their_batch_is_cancelled(broker: Broker) -> None:
    await start_waiting(broker, 3)
    (lease,) = await take(broker)
    assert await broker.batches.cancel("q", "b") == ["b:0"]
    assert await take(broker, 9) == []
    assert await counts(broker) == ("cancelled", 3, 2, 0)
    await end(broker, lease)
    assert await counts(broker) == ("cancelled", 3, 3, 0)
    assert await take(broker, 9) == []


async def start_waiting(broker: Broker, count: int) -> None:
    """Start a batch of *count* members that nobody takes."""
    await broker.batches.stage(BATCH, [a_member(number) for number in range(count)], first=0)
    await broker.batches.start(BATCH, count, PLAN)
    await release_all(broker)


async def test_a_cancelled_batch_is_followed_by_nothing(broker: Broker) -> None:
    await start_waiting(broker, 2)
    (lease,) = await take(broker)
    await broker.batches.cancel("q", "b")
    await fail(broker, lease)
    assert await take(broker) == []
    assert await counts(broker) == ("cancelled", 2, 2, 1)
    assert await broker.batches.retry("q", "b") is False


async def test_members_that_were_not_released_are_deleted(broker: Broker) -> None:
    count = 2 * MAX_BULK + 9
    await broker.batches.stage(BATCH, [a_member(number) for number in range(count)], first=0)
    await broker.batches.start(BATCH, count, PLAN)
    assert await broker.batches.cancel("q", "b") == []
    assert await counts(broker) == ("cancelled", count, count, 0)
    assert await take(broker) == []


async def test_scheduled_members_are_deleted_with_their_locks(broker: Broker) -> None:
    plan = a_member(0)
    scheduled = a_scheduled("b:0", at_s=FUTURE_S, lock=LOCK, headers=dict(plan.message.headers))
    await broker.batches.stage(BATCH, [scheduled], first=0)
    await broker.batches.start(BATCH, 1, BatchPlan(then=None, failed=None, kept_s=100))
    await release_all(broker)
    assert await broker.batches.cancel("q", "b") == []
    assert await counts(broker) == ("cancelled", 1, 1, 0)
    await enqueue(broker, a_pending("other", lock=LOCK))
    assert ids(await take(broker)) == ["other"]


async def test_failed_members_that_wait_to_run_again_stay_failed(broker: Broker) -> None:
    await fail_many(broker, MAX_BULK + 100)
    await broker.batches.retry("q", "b")
    await broker.batches.cancel("q", "b")
    assert await counts(broker) == ("cancelled", MAX_BULK + 100, MAX_BULK + 100, 100)


async def test_only_a_batch_that_runs_can_be_cancelled(broker: Broker) -> None:
    assert await broker.batches.cancel("q", "gone") is None
    (lease,) = await start(broker, 1)
    assert await broker.batches.is_cancelled("q", "b") is False
    assert await broker.batches.cancel("q", "b") == ["b:0"]
    assert await broker.batches.is_cancelled("q", "b") is True
    assert await broker.batches.is_cancelled("q", "gone") is False
    await end(broker, lease)
    assert await broker.batches.cancel("q", "b") is None


async def test_a_cancelled_batch_is_removed_with_its_queue(broker: Broker) -> None:
    await start_waiting(broker, 3)
    await broker.batches.cancel("q", "b")
    await broker.inspection.remove("q", force=True)
    assert await is_clean(broker)


async def test_a_cancelled_batch_takes_no_more_members(broker: Broker) -> None:
    await start(broker, 1)
    assert await broker.work.reserve_members("q", "b", 2) == 1
    await broker.batches.cancel("q", "b")
    assert await broker.work.reserve_members("q", "b", 2) is None
