"""Every broker gives a task to one worker at a time, and accepts a verdict only from that one."""

import time
from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest

from pyasynq.broker import Broker, Container, Lease
from pyasynq.core.attempts import Attempt, record_attempt
from pyasynq.core.policy import MAX_BYTES, MAX_SHARES
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE, REQUEUE, Archive, Retry, Verdict
from tests.support.factories import (
    LEASE_S,
    OWNER,
    a_lease,
    a_pending,
    archived,
    completed,
    dequeue,
    enqueue,
    every_verdict,
    ids,
    many_large,
    many_pending,
    retried,
    settle,
    take,
)
from tests.support.waiting import wait_until

ARCHIVED = Container(queue="q", state=TaskState.ARCHIVED)
COMPLETED = Container(queue="q", state=TaskState.COMPLETED)
LONG_AGO = datetime(2001, 9, 9, tzinfo=UTC)

# -- dequeue ---------------------------------------------------------------------------------------


async def test_a_taken_task_is_what_was_enqueued(broker: Broker) -> None:
    plan = a_pending("1", payload=b"p", headers={"a": "1"}, timeout=5)
    await enqueue(broker, plan)
    (lease,) = await take(broker)
    assert lease.message == plan.message
    assert (lease.id, lease.queue, lease.owner) == ("1", "q", f"{OWNER}.0")


async def test_a_lease_ends_on_the_workers_clock(broker: Broker) -> None:
    await enqueue(broker, a_pending())
    before = time.monotonic()
    (lease,) = await take(broker, lease_s=7)
    assert before + 7 <= lease.expires_at <= time.monotonic() + 7


async def test_a_task_is_taken_once(broker: Broker) -> None:
    await enqueue(broker, a_pending())
    assert len(await take(broker)) == 1
    assert await take(broker) == []


async def test_tasks_are_taken_first_come_first_served(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    await enqueue(broker, a_pending("2"), a_pending("3"))
    assert ids(await take(broker, 2)) == ["1", "2"]
    assert ids(await take(broker, 2)) == ["3"]


async def test_an_empty_queue_says_so(broker: Broker) -> None:
    (result,) = await dequeue(broker, {"q": 1})
    assert (result.queue, result.leases, result.empty, result.paused) == ("q", [], True, False)


async def test_a_queue_that_gave_all_it_was_asked_for_may_have_more(broker: Broker) -> None:
    await enqueue(broker, a_pending())
    (result,) = await dequeue(broker, {"q": 1})
    assert not result.empty


async def test_a_queue_that_gave_less_than_asked_is_empty(broker: Broker) -> None:
    await enqueue(broker, a_pending())
    (result,) = await dequeue(broker, {"q": 2})
    assert (len(result.leases), result.empty) == (1, True)


async def test_one_call_takes_from_queues_in_different_slots(broker: Broker) -> None:
    await enqueue(broker, *(a_pending("1", queue=queue) for queue in ("q", "r", "s")))
    results = await dequeue(broker, {"q": 2, "r": 1, "s": 5})
    assert [(result.queue, ids(result.leases)) for result in results] == [
        ("q", ["1"]),
        ("r", ["1"]),
        ("s", ["1"]),
    ]


async def test_more_than_128_tasks_are_taken_in_one_call(broker: Broker) -> None:
    await enqueue(broker, *many_pending(300))
    results = await dequeue(broker, {"q": 290})
    assert sorted(len(result.leases) for result in results) == [34, 128, 128]
    assert len(await take(broker, 300)) == 10


async def test_large_tasks_are_taken_a_few_at_a_time(broker: Broker) -> None:
    await enqueue(broker, *many_large(5))
    (first,) = await dequeue(broker, {"q": 5})
    (second,) = await dequeue(broker, {"q": 5})
    assert [ids(first.leases), ids(second.leases)] == [["0", "1"], ["2", "3"]]


async def test_a_queue_that_gave_less_because_its_tasks_are_large_is_not_empty(
    broker: Broker,
) -> None:
    await enqueue(broker, *many_large(3))
    (result,) = await dequeue(broker, {"q": 3})
    assert (len(result.leases), result.empty, result.missing) == (2, False, 0)


async def test_a_task_is_taken_however_large_it_is(broker: Broker) -> None:
    await enqueue(broker, a_pending(payload=bytes(3 * MAX_BYTES)))
    assert ids(await take(broker, 2)) == ["1"]


async def test_queues_that_are_asked_together_share_what_one_answer_may_bring(
    broker: Broker,
) -> None:
    await enqueue(broker, *many_large(2, queue="q"), *many_large(2, queue="r"))
    results = await dequeue(broker, {"q": 2, "r": 2})
    assert [ids(result.leases) for result in results] == [["0"], ["0"]]


async def test_many_queues_of_large_tasks_all_give_one(broker: Broker) -> None:
    queues = [f"q{n}" for n in range(MAX_SHARES + 1)]
    plans = [plan for queue in queues for plan in many_large(2, queue=queue)]
    await enqueue(broker, *plans)
    results = await dequeue(broker, dict.fromkeys(queues, 2))
    assert [len(result.leases) for result in results] == [1] * len(queues)


# -- settle ----------------------------------------------------------------------------------------


async def test_every_verdict_is_written(broker: Broker) -> None:
    await enqueue(broker, *many_pending(5))
    settled = every_verdict(await take(broker, 5))
    assert await broker.work.settle(settled) == [True] * 5


async def test_no_verdict_is_written_twice(broker: Broker) -> None:
    await enqueue(broker, *many_pending(5))
    settled = every_verdict(await take(broker, 5))
    await broker.work.settle(settled)
    assert await broker.work.settle(settled) == [False] * 5


async def test_verdicts_of_several_queues_are_answered_in_order(broker: Broker) -> None:
    held = await a_lease(broker, a_pending("1", queue="q"))
    gone = await a_lease(broker, a_pending("1", queue="r"))
    also_held = await a_lease(broker, a_pending("1", queue="s"))
    await settle(broker, gone, DONE)
    answers = await broker.work.settle([(held, DONE), (gone, REQUEUE), (also_held, DONE)])
    assert answers == [True, False, True]


async def test_more_than_128_verdicts_are_written_in_one_call(broker: Broker) -> None:
    await enqueue(broker, *many_pending(300))
    settled: list[tuple[Lease, Verdict]] = [(lease, DONE) for lease in await take(broker, 300)]
    assert await broker.work.settle(settled) == [True] * 300


async def test_verdicts_with_large_messages_are_all_written(broker: Broker) -> None:
    await enqueue(broker, *many_large(5))
    leases = [lease for _ in range(3) for lease in await take(broker, 2)]
    settled = [(lease, retried(lease)) for lease in leases]
    assert await broker.work.settle(settled) == [True] * 5


async def test_nothing_to_settle_is_answered_with_nothing(broker: Broker) -> None:
    assert await broker.work.settle([]) == []


async def test_a_worker_that_lost_its_lease_is_refused_every_verdict(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, REQUEUE)
    await take(broker, owner="server/2")
    verdicts = [DONE, completed(lease), retried(lease), archived(lease), REQUEUE]
    assert await broker.work.settle([(lease, verdict) for verdict in verdicts]) == [False] * 5


async def test_a_refused_verdict_leaves_the_task_to_its_new_worker(broker: Broker) -> None:
    lost = await a_lease(broker)
    await settle(broker, lost, REQUEUE)
    (held,) = await take(broker, owner="server/2")
    await settle(broker, lost, DONE)
    assert await settle(broker, held, DONE) is True


async def crash(broker: Broker, lease: Lease, crashes: int) -> None:
    """Put the task of *lease* back as a recoverer does."""
    verdict = Retry(message=lease.message, at=LONG_AGO, failed=True, crashes=crashes)
    assert await settle(broker, lease, verdict)
    await broker.upkeep.forward("q")


async def test_the_next_worker_learns_how_often_a_task_has_crashed(broker: Broker) -> None:
    await crash(broker, await a_lease(broker), 2)
    await enqueue(broker, a_pending("2"))
    leases = await take(broker, 2)
    assert {lease.id: lease.crashes for lease in leases} == {"1": 2, "2": 0}


async def test_a_recoverer_learns_how_often_a_task_has_crashed(broker: Broker) -> None:
    await crash(broker, await a_lease(broker), 2)
    (held,) = await take(broker, lease_s=-1)
    await broker.work.mark_started(held)
    (lease,) = (await broker.upkeep.expired("q")).leases
    assert (lease.crashes, lease.started) == (2, True)


async def test_a_recoverer_learns_that_a_crashed_task_was_not_begun(broker: Broker) -> None:
    await crash(broker, await a_lease(broker), 2)
    await take(broker, lease_s=-1)
    (lease,) = (await broker.upkeep.expired("q")).leases
    assert lease.started is False


async def test_the_start_of_a_task_that_was_lost_is_refused(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, REQUEUE)
    assert await broker.work.mark_started(lease) is False


async def test_a_task_that_fails_by_itself_has_crashed_nobody(broker: Broker) -> None:
    await crash(broker, await a_lease(broker), 2)
    (lease,) = await take(broker)
    await settle(broker, lease, retried(lease, after=timedelta(seconds=-1)))
    await broker.upkeep.forward("q")
    (lease,) = await take(broker)
    assert lease.crashes == 0


async def test_a_task_that_goes_back_to_its_queue_has_crashed_as_often_as_before(
    broker: Broker,
) -> None:
    await crash(broker, await a_lease(broker), 2)
    (lease,) = await take(broker)
    await settle(broker, lease, REQUEUE)
    (lease,) = await take(broker)
    assert lease.crashes == 2


async def test_a_task_that_is_run_by_hand_begins_anew(broker: Broker) -> None:
    lease = await a_lease(broker)
    later = datetime.now(UTC) + timedelta(hours=1)
    verdict = Retry(message=lease.message, at=later, failed=True, crashes=2, unknown=True)
    await settle(broker, lease, verdict)
    await broker.inspection.apply(Action.RUN, Container(queue="q", state=TaskState.RETRY), ["1"])
    (lease,) = await take(broker)
    assert (lease.crashes, lease.unknown_s) == (0, None)


async def test_the_next_worker_learns_for_how_long_nobody_has_known_a_task(broker: Broker) -> None:
    lease = await a_lease(broker)
    before_s = int(time.time())
    await settle(
        broker, lease, Retry(message=lease.message, at=LONG_AGO, failed=False, unknown=True)
    )
    await broker.upkeep.forward("q")
    await enqueue(broker, a_pending("2"))
    leases = await take(broker, 2)
    passed_s = int(time.time()) - before_s
    unknown_s = {lease.id: lease.unknown_s for lease in leases}
    assert unknown_s["1"] in range(passed_s + 1)
    assert unknown_s["2"] is None


async def test_a_requeued_task_is_the_next_to_run(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    (lease,) = await take(broker)
    await settle(broker, lease, REQUEUE)
    assert ids(await take(broker, 2)) == ["1", "2"]


async def test_requeued_tasks_run_in_the_order_they_were_taken(broker: Broker) -> None:
    await enqueue(broker, *many_pending(4))
    leases = await take(broker, 3)
    await broker.work.settle([(lease, REQUEUE) for lease in leases])
    assert ids(await take(broker, 4)) == ["0", "1", "2", "3"]


async def test_poison_can_be_settled(broker: Broker) -> None:
    lease = await a_lease(broker)
    assert await settle(broker, lease, Archive(message=None)) is True


# -- extend ----------------------------------------------------------------------------------------


async def test_a_lease_that_is_settled_twice_in_one_call_is_settled_once(broker: Broker) -> None:
    lease = await a_lease(broker)
    answers = await broker.work.settle([(lease, REQUEUE), (lease, REQUEUE)])
    assert answers == [True, False]
    assert ids(await take(broker, 5)) == ["1"]


async def test_an_extended_lease_ends_later(broker: Broker) -> None:
    lease = await a_lease(broker, lease_s=5)
    before = time.monotonic()
    assert await broker.work.extend([lease], lease_s=LEASE_S) == [True]
    assert lease.expires_at >= before + LEASE_S


async def test_a_lease_that_is_lost_is_reported(broker: Broker) -> None:
    held = await a_lease(broker, a_pending("1", queue="q"))
    lost = await a_lease(broker, a_pending("1", queue="r"))
    await settle(broker, lost, DONE)
    assert await broker.work.extend([held, lost], lease_s=LEASE_S) == [True, False]


async def test_a_lost_lease_keeps_its_end(broker: Broker) -> None:
    lease = await a_lease(broker, lease_s=5)
    await settle(broker, lease, DONE)
    before = lease.expires_at
    await broker.work.extend([lease], lease_s=LEASE_S)
    assert lease.expires_at == before


async def test_a_lease_of_another_worker_is_not_extended(broker: Broker) -> None:
    lost = await a_lease(broker)
    await settle(broker, lost, REQUEUE)
    await take(broker, owner="server/2")
    assert await broker.work.extend([lost], lease_s=LEASE_S) == [False]


async def test_more_than_128_leases_are_extended_in_one_call(broker: Broker) -> None:
    await enqueue(broker, *many_pending(200))
    leases = await take(broker, 200)
    await settle(broker, leases[150], DONE)
    answers = await broker.work.extend(leases, lease_s=LEASE_S)
    assert answers == [True] * 150 + [False] + [True] * 49


async def test_nothing_to_extend_loses_nothing(broker: Broker) -> None:
    assert await broker.work.extend([], lease_s=LEASE_S) == []


# -- results ---------------------------------------------------------------------------------------


async def test_a_result_is_stored_while_the_lease_is_held(broker: Broker) -> None:
    assert await broker.work.write_result(await a_lease(broker), b"sent") is True


async def test_a_result_after_the_end_is_refused(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, DONE)
    assert await broker.work.write_result(lease, b"late") is False


async def test_a_result_of_a_worker_that_lost_its_lease_is_refused(broker: Broker) -> None:
    lost = await a_lease(broker)
    await settle(broker, lost, REQUEUE)
    await take(broker, owner="server/2")
    assert await broker.work.write_result(lost, b"late") is False


# -- wait ------------------------------------------------------------------------------------------


async def test_waiting_on_a_queue_with_tasks_ends_at_once_and_takes_none(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    assert await broker.work.wait("q")
    assert ids(await take(broker, 2)) == ["1", "2"]


async def test_waiting_ends_when_a_task_comes(broker: Broker) -> None:
    woken: list[bool] = []

    async def wait() -> None:
        woken.append(await broker.work.wait("q"))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await enqueue(broker, a_pending())
        await wait_until(lambda: woken)
    assert woken == [True]


async def test_waiting_in_vain_ends(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyasynq.broker.redis.work.WAIT_S", 0.1)
    monkeypatch.setattr("pyasynq.broker.sqlite.work.WAIT_S", 0.1)
    assert await broker.work.wait("q") is False


# -- failed tries ----------------------------------------------------------------------------------


def with_attempt(verdict: Retry | Archive, retried: int) -> Retry | Archive:
    """Return *verdict* with a try to be kept, of which a task keeps three."""
    attempt = Attempt(retried=retried, failed_at=datetime.now(UTC), error=f"error {retried}")
    return msgspec.structs.replace(verdict, attempt=record_attempt(attempt, 3))


async def attempts_of(broker: Broker, task_id: str = "1") -> list[str]:
    """Return the errors of the kept tries, the oldest first."""
    found = await broker.inspection.task("q", task_id)
    assert found is not None
    assert found.info is not None
    return [attempt.error for attempt in found.info.attempts]


async def fail(broker: Broker, times: int) -> None:
    """Enqueue a task and let it fail."""
    lease = await a_lease(broker)
    for retried_before in range(times):
        verdict = with_attempt(retried(lease, after=timedelta(seconds=-1)), retried_before)
        assert await settle(broker, lease, verdict) is True
        await broker.upkeep.forward("q")
        (lease,) = await take(broker)
    assert await settle(broker, lease, with_attempt(archived(lease), times)) is True


async def test_failed_tries_are_kept_with_a_task_and_the_newest_replaces_the_oldest(
    broker: Broker,
) -> None:
    await fail(broker, 1)
    assert await attempts_of(broker) == ["error 0", "error 1"]
    await broker.inspection.apply(Action.DELETE, ARCHIVED, ["1"])
    await fail(broker, 4)
    assert await attempts_of(broker) == ["error 2", "error 3", "error 4"]


async def test_a_task_that_has_not_failed_has_no_failed_tries(broker: Broker) -> None:
    lease = await a_lease(broker)
    assert await attempts_of(broker) == []
    await settle(broker, lease, completed(lease))
    assert await attempts_of(broker) == []


async def test_a_worker_that_lost_its_lease_keeps_no_failed_try(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, REQUEUE)
    await take(broker, owner="another/1")
    assert await settle(broker, lease, with_attempt(retried(lease), 0)) is False
    assert await settle(broker, lease, with_attempt(archived(lease), 0)) is False
    assert await attempts_of(broker) == []


async def test_failed_tries_stay_until_the_task_is_gone(broker: Broker) -> None:
    await fail(broker, 0)
    await broker.inspection.apply(Action.RUN, ARCHIVED, ["1"])
    (lease,) = await take(broker)
    await settle(broker, lease, completed(lease))
    assert await attempts_of(broker) == ["error 0"]
    await broker.inspection.apply(Action.DELETE, COMPLETED, ["1"])
    await enqueue(broker, a_pending())
    assert await attempts_of(broker) == []
