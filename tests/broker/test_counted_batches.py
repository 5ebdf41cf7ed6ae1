"""Every broker counts each member of a batch once, and creates one task when all have ended."""

import logging
from collections.abc import Sequence

import msgspec
import pytest

from pyasynq.broker import BatchRef, Broker, Container, Lease, RemoveResult
from pyasynq.core.batch import (
    BatchInfo,
    BatchOutcome,
    BatchPlan,
    make_member,
    member_id,
    outcome_in,
)
from pyasynq.core.compose import Plan
from pyasynq.core.policy import MAX_BULK
from pyasynq.core.report import Place, Report, Result, place_of
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE, Archive, Verdict
from tests.broker.test_batches import is_clean, release_all
from tests.broker.test_following_tasks import deliver
from tests.support.factories import (
    FUTURE_S,
    a_lease,
    a_pending,
    a_scheduled,
    archived,
    completed,
    enqueue,
    ids,
    settle,
    take,
)

BATCH = BatchRef(queue="q", id="b", home="q")
THEN, FAILED = a_pending("then"), a_pending("failed")
PLAN = BatchPlan(then=THEN, failed=FAILED, kept_s=100)


def place(number: int) -> Place:
    return Place(kind="batch", queue="q", id="b", member=number)


def a_member(number: int) -> Plan:
    plan = a_pending(member_id("b", number))
    make_member(plan.message, place(number))
    return plan


async def start(broker: Broker, count: int, plan: BatchPlan = PLAN) -> list[Lease]:
    """Start a batch of *count* members and take them."""
    if count:
        await broker.batches.stage(BATCH, [a_member(number) for number in range(count)], first=0)
    await broker.batches.start(BATCH, count, plan)
    await release_all(broker)
    return await take(broker, count) if count else []


def reported(
    verdict: Verdict, number: int, result: Result = "succeeded", *, added: Sequence[Plan] = ()
) -> Verdict:
    """Return *verdict* with the report on a member."""
    report = Report(place=place(number), result=result, added=tuple(added))
    return msgspec.structs.replace(verdict, then=(report,))


async def end(broker: Broker, lease: Lease) -> None:
    """End a member successfully."""
    of = place_of(lease.message)
    assert of is not None
    assert await settle(broker, lease, reported(DONE, of.member)) is True


async def fail(broker: Broker, lease: Lease) -> None:
    """Archive a member."""
    of = place_of(lease.message)
    assert of is not None
    assert await settle(broker, lease, reported(archived(lease), of.member, "failed")) is True


async def info(broker: Broker) -> BatchInfo:
    found = await broker.batches.read("q", "b")
    assert found is not None
    return found


async def counts(broker: Broker) -> tuple[str, int, int, int]:
    """Return state, total, ended and failed of the batch."""
    it = await info(broker)
    return it.state, it.total, it.ended, it.failed


async def follower(broker: Broker, queue: str = "q") -> tuple[str, BatchOutcome | None]:
    """Take the only task of *queue*; return its id and the outcome that it carries."""
    (lease,) = await take(broker, 9, queue=queue)
    return lease.id, outcome_in(lease.message)


def an_outcome(total: int, failed: int = 0) -> BatchOutcome:
    return BatchOutcome(id="b", queue="q", total=total, failed=failed)


# -- the end ---------------------------------------------------------------------------------------


async def test_a_task_follows_the_last_member(broker: Broker) -> None:
    first, second = await start(broker, 2)
    await end(broker, first)
    assert await take(broker) == []
    assert await counts(broker) == ("running", 2, 1, 0)
    await end(broker, second)
    assert await follower(broker) == ("then", an_outcome(2))
    assert await counts(broker) == ("succeeded", 2, 2, 0)


async def test_another_task_follows_if_one_has_failed(broker: Broker) -> None:
    first, second = await start(broker, 2)
    await fail(broker, first)
    await end(broker, second)
    assert await follower(broker) == ("failed", an_outcome(2, 1))
    assert await counts(broker) == ("failed", 2, 2, 1)
    assert await broker.batches.failed_members("q", "b") == ["b:0"]


async def test_members_that_end_in_one_call_are_all_counted(broker: Broker) -> None:
    leases = await start(broker, 9)
    verdicts = [reported(DONE, number) for number in range(9)]
    assert await broker.work.settle([*zip(leases, verdicts, strict=True)]) == [True] * 9
    assert await follower(broker) == ("then", an_outcome(9))


@pytest.mark.parametrize("number", [-1, 2, 2**32 - 1])
async def test_a_number_that_no_member_has_is_not_counted(broker: Broker, number: int) -> None:
    first, second = await start(broker, 2)
    assert await settle(broker, first, reported(DONE, number)) is True
    assert await counts(broker) == ("running", 2, 0, 0)
    await end(broker, second)
    assert await counts(broker) == ("running", 2, 1, 0)


@pytest.mark.parametrize("state", ["completed", "skipped"])
async def test_a_member_that_is_kept_or_revoked_has_not_failed(broker: Broker, state: str) -> None:
    (lease,) = await start(broker, 1)
    verdict, result = (completed(lease), "succeeded") if state == "completed" else (DONE, "skipped")
    await settle(broker, lease, reported(verdict, 0, result))
    assert await follower(broker) == ("then", an_outcome(1))


async def test_what_follows_may_be_in_another_queue(broker: Broker) -> None:
    plan = BatchPlan(then=a_pending("then", queue="r"), failed=None, kept_s=100)
    (lease,) = await start(broker, 1, plan)
    await end(broker, lease)
    await deliver(broker)
    assert await follower(broker, "r") == ("then", an_outcome(1))


async def test_what_follows_may_be_scheduled(broker: Broker) -> None:
    plan = BatchPlan(then=a_scheduled("then", at_s=FUTURE_S), failed=None, kept_s=100)
    (lease,) = await start(broker, 1, plan)
    await end(broker, lease)
    container = Container(queue="q", state=TaskState.SCHEDULED)
    assert [it.id for it in (await broker.inspection.tasks(container, 0, 9)).tasks] == ["then"]


async def test_nothing_need_follow(broker: Broker) -> None:
    (lease,) = await start(broker, 1, BatchPlan(then=None, failed=FAILED, kept_s=100))
    await end(broker, lease)
    assert await take(broker) == []
    assert await counts(broker) == ("succeeded", 1, 1, 0)


async def test_a_batch_without_members_ends_at_once(broker: Broker) -> None:
    await start(broker, 0)
    assert await follower(broker) == ("then", an_outcome(0))
    assert (await info(broker)).ended_at is not None


async def test_a_start_whose_answer_was_lost_can_be_made_again(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    await broker.batches.start(BATCH, 1, PLAN)
    await end(broker, lease)
    await broker.batches.start(BATCH, 1, PLAN)
    assert await follower(broker) == ("then", an_outcome(1))


async def test_what_has_started_cannot_be_discarded(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    assert not await broker.batches.discard(BATCH)
    await end(broker, lease)
    assert not await broker.batches.discard(BATCH)


# -- once ------------------------------------------------------------------------------------------


async def test_a_member_counts_once(broker: Broker) -> None:
    first, _ = await start(broker, 2)
    await end(broker, first)
    again = await a_lease(broker, a_pending("again"))
    await settle(broker, again, reported(DONE, 0))
    assert await counts(broker) == ("running", 2, 1, 0)


async def test_a_member_whose_lease_is_lost_is_not_counted(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    lease.owner = "another worker"
    assert await settle(broker, lease, reported(DONE, 0)) is False
    assert await counts(broker) == ("running", 1, 0, 0)


async def test_a_failed_member_that_runs_again_changes_nothing(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    await fail(broker, lease)
    assert (await follower(broker))[0] == "failed"
    await broker.inspection.apply(
        Action.RUN, Container(queue="q", state=TaskState.ARCHIVED), ["b:0"]
    )
    (again,) = await take(broker)
    await end(broker, again)
    assert await take(broker) == []
    assert await counts(broker) == ("failed", 1, 1, 1)


async def test_a_member_of_a_batch_that_is_gone_ends(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await a_lease(broker, a_member(0))
    with caplog.at_level(logging.WARNING):
        await end(broker, lease)
    assert "a task of the batch b has ended, but 'q' no longer has it" in caplog.text


# -- members that are added ------------------------------------------------------------------------


async def test_an_added_member_is_waited_for(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    first = await broker.work.reserve_members("q", "b", 2)
    assert first == 1
    verdict = reported(DONE, 0, added=[a_member(1), a_member(2)])
    assert await settle(broker, lease, verdict) is True
    assert await counts(broker) == ("running", 3, 1, 0)
    for added in await take(broker, 9):
        await end(broker, added)
    assert await follower(broker) == ("then", an_outcome(3))


async def test_an_added_member_that_is_refused_is_left_out_and_logged(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    (lease,) = await start(broker, 1)
    await broker.work.reserve_members("q", "b", 2)
    await enqueue(broker, a_pending(member_id("b", 1)))
    with caplog.at_level(logging.WARNING):
        await settle(broker, lease, reported(DONE, 0, added=[a_member(1), a_member(2)]))
    assert "added to the batch b of 'q', but not created" in caplog.text
    assert await counts(broker) == ("running", 2, 1, 0)


async def test_numbers_that_are_not_used_are_no_members(broker: Broker) -> None:
    first, second = await start(broker, 2)
    await broker.work.reserve_members("q", "b", 20)
    await end(broker, first)
    assert (await broker.batches.repair("q", idle_s=0, swept_s=0)).noticed == 0
    await end(broker, second)
    assert await follower(broker) == ("then", an_outcome(2))


async def test_a_failed_run_adds_nothing(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    await broker.work.reserve_members("q", "b", 1)
    await settle(broker, lease, reported(archived(lease), 0, "failed"))
    assert await follower(broker) == ("failed", an_outcome(1, 1))


async def test_a_batch_that_is_over_or_gone_gives_no_numbers(broker: Broker) -> None:
    assert await broker.work.reserve_members("q", "b", 1) is None
    await start(broker, 0)
    assert await broker.work.reserve_members("q", "b", 1) is None


# -- members that end without a report -------------------------------------------------------------


async def noticed(broker: Broker) -> int:
    return (await broker.batches.repair("q", idle_s=0, swept_s=0)).noticed


async def test_members_that_wait_or_run_are_left_alone(broker: Broker) -> None:
    await start(broker, 1)
    assert await noticed(broker) == 0
    assert await counts(broker) == ("running", 1, 0, 0)


def done(_lease: Lease) -> Verdict:
    return DONE


@pytest.mark.parametrize(
    ("ending", "expected"),
    [(completed, "then"), (archived, "failed"), (done, "failed")],
    ids=["completed", "archived", "deleted"],
)
async def test_a_member_that_another_worker_has_ended_is_noticed(
    broker: Broker, ending: object, expected: str
) -> None:
    (lease,) = await start(broker, 1)
    verdict: Verdict = ending(lease)  # type: ignore[operator]
    await settle(broker, lease, verdict)  # an older worker reports nothing
    assert await noticed(broker) == 1
    assert (await follower(broker))[0] == expected
    assert await noticed(broker) == 0


async def test_many_members_that_were_deleted_are_noticed_in_steps(broker: Broker) -> None:
    count = MAX_BULK + 9
    await broker.batches.stage(BATCH, [a_member(number) for number in range(count)], first=0)
    await broker.batches.start(BATCH, count, PLAN)
    await release_all(broker)
    pending = Container(queue="q", state=TaskState.PENDING)
    for _ in range(2):
        await broker.inspection.apply(Action.DELETE, pending, MAX_BULK)
    assert await noticed(broker) == count
    assert await follower(broker) == ("failed", an_outcome(count, count))
    assert len(await broker.batches.failed_members("q", "b")) == count


async def test_a_batch_that_changes_is_not_looked_through(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    await settle(broker, lease, DONE)
    assert (await broker.batches.repair("q", idle_s=0)).noticed == 0
    assert (await broker.batches.repair("q")).noticed == 0


async def test_members_of_a_client_that_died_are_released(broker: Broker) -> None:
    await broker.batches.stage(BATCH, [a_member(0)], first=0)
    await broker.batches.start(BATCH, 1, PLAN)
    assert (await broker.batches.repair("q", idle_s=0)).released == 1
    (lease,) = await take(broker)
    await end(broker, lease)
    assert (await follower(broker))[0] == "then"


# -- reading and removing --------------------------------------------------------------------------


async def test_running_batches_are_listed_before_those_that_have_ended(broker: Broker) -> None:
    for batch_id, count in (("over", 0), ("running", 1)):
        batch = BatchRef(queue="q", id=batch_id, home="q")
        if count:
            await broker.batches.stage(batch, [a_pending(f"{batch_id}:0")], first=0)
        plan = BatchPlan(then=None, failed=None, kept_s=100)
        await broker.batches.start(batch, count, plan)
    await broker.batches.stage(BATCH, [a_pending("only created together")], first=0)
    found = await broker.batches.read_all("q", 0, 9)
    assert [(it.id, it.state) for it in found] == [("running", "running"), ("over", "succeeded")]
    assert [it.id for it in await broker.batches.read_all("q", 1, 9)][-1:] == ["over"]


async def test_there_is_no_such_batch(broker: Broker) -> None:
    assert await broker.batches.read("q", "b") is None
    assert await broker.batches.failed_members("q", "b") == []


async def test_a_batch_that_has_ended_does_not_keep_its_queue(broker: Broker) -> None:
    await start(broker, 0, BatchPlan(then=None, failed=None, kept_s=100))
    assert await is_clean(broker)
    assert await broker.batches.read("q", "b") is None


async def test_a_running_batch_is_removed_with_its_queue(broker: Broker) -> None:
    (lease,) = await start(broker, 1)
    await settle(broker, lease, Archive(message=None))
    assert not await is_clean(broker)
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await broker.batches.read("q", "b") is None
    assert ids(await take(broker)) == []
