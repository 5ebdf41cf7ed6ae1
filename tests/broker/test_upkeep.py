"""Every broker forwards due tasks, returns expired leases, and deletes old tasks."""

from datetime import timedelta

import pytest

from pyasynq.broker import Broker, ForwardResult, Job
from pyasynq.core.verdict import DONE, REQUEUE
from tests.support.factories import (
    FUTURE_S,
    LEASE_S,
    PAST_S,
    a_lease,
    a_pending,
    a_scheduled,
    archived,
    completed,
    enqueue,
    ids,
    many_large,
    many_pending,
    retried,
    settle,
    take,
)

NOW = timedelta()


# -- forward ---------------------------------------------------------------------------------------


async def test_a_due_task_is_moved(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", at_s=PAST_S))
    assert await broker.upkeep.forward("q") == ForwardResult(moved=1, more=False, next_in_s=None)
    assert ids(await take(broker)) == ["1"]


async def test_a_task_that_is_not_due_stays_and_tells_when_it_will_be(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", at_s=FUTURE_S))
    forwarded = await broker.upkeep.forward("q")
    assert (forwarded.moved, forwarded.more) == (0, False)
    assert forwarded.next_in_s is not None
    assert forwarded.next_in_s > 1_000_000
    assert await take(broker) == []


async def test_a_queue_where_nothing_waits_has_no_next_time(broker: Broker) -> None:
    assert await broker.upkeep.forward("q") == ForwardResult(moved=0, more=False, next_in_s=None)


async def test_a_task_to_be_retried_now_runs_again(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease, after=timedelta(seconds=-1)))
    await broker.upkeep.forward("q")
    (again,) = await take(broker)
    assert (again.id, again.message.retried, again.message.error_msg) == ("1", 1, "boom")


async def test_a_task_to_be_retried_later_tells_when(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease, after=timedelta(seconds=60)))
    forwarded = await broker.upkeep.forward("q")
    assert forwarded.next_in_s == pytest.approx(60, abs=2)


async def test_due_tasks_run_in_the_order_of_their_times(broker: Broker) -> None:
    times = {"a": 30, "b": 10, "c": 20}
    await enqueue(broker, *(a_scheduled(name, at_s=PAST_S + at) for name, at in times.items()))
    await broker.upkeep.forward("q")
    assert ids(await take(broker, 3)) == ["b", "c", "a"]


async def test_more_than_128_due_tasks_are_moved_in_steps(broker: Broker) -> None:
    plans = [a_scheduled(str(n), at_s=PAST_S + n) for n in range(200)]
    await enqueue(broker, *plans)
    first, second = [await broker.upkeep.forward("q") for _ in range(2)]
    assert first == ForwardResult(moved=128, more=True, next_in_s=0)
    assert second == ForwardResult(moved=72, more=False, next_in_s=None)
    assert ids(await take(broker, 100)) == [str(n) for n in range(100)]


async def test_queues_in_different_slots_are_forwarded_by_themselves(broker: Broker) -> None:
    await enqueue(
        broker, a_scheduled("1", at_s=PAST_S, queue="q"), a_scheduled("1", at_s=PAST_S, queue="r")
    )
    await broker.upkeep.forward("q")
    assert ids(await take(broker, queue="q")) == ["1"]
    assert await take(broker, queue="r") == []


# -- lost workers ----------------------------------------------------------------------------------


async def test_a_task_whose_lease_is_over_is_listed_with_what_it_takes_to_settle_it(
    broker: Broker,
) -> None:
    await a_lease(broker, lease_s=-1)
    (lease,) = (await broker.upkeep.expired("q")).leases
    assert (lease.id, lease.queue, lease.message.type) == ("1", "q", "t")
    assert await settle(broker, lease, DONE) is True


async def test_a_task_whose_lease_lasts_is_not_listed(broker: Broker) -> None:
    await a_lease(broker)
    assert (await broker.upkeep.expired("q")).leases == []


async def test_a_task_that_was_recovered_cannot_be_recovered_again(broker: Broker) -> None:
    await a_lease(broker, lease_s=-1)
    (first,), (second,) = [(await broker.upkeep.expired("q")).leases for _ in range(2)]
    assert await settle(broker, first, REQUEUE) is True
    assert await settle(broker, second, REQUEUE) is False


async def test_a_worker_that_extends_in_time_keeps_its_task_from_a_recoverer(
    broker: Broker,
) -> None:
    held = await a_lease(broker, lease_s=-1)
    (listed,) = (await broker.upkeep.expired("q")).leases
    assert await broker.work.extend([held], lease_s=LEASE_S) == [True]
    assert await settle(broker, listed, REQUEUE) is False
    assert await settle(broker, held, DONE) is True


async def test_a_worker_whose_task_was_recovered_is_refused(broker: Broker) -> None:
    lost = await a_lease(broker, lease_s=-1)
    (listed,) = (await broker.upkeep.expired("q")).leases
    await settle(broker, listed, REQUEUE)
    assert await settle(broker, lost, DONE) is False


async def test_leases_that_are_over_are_listed_in_batches(broker: Broker) -> None:
    await enqueue(broker, *many_pending(130))
    await take(broker, 130, lease_s=-1)
    assert len((await broker.upkeep.expired("q")).leases) == 128


async def test_large_tasks_whose_leases_are_over_are_listed_a_few_at_a_time(
    broker: Broker,
) -> None:
    await enqueue(broker, *many_large(3))
    await take(broker, 3, lease_s=-1)
    await take(broker, 3, lease_s=-1)
    (first, second) = (await broker.upkeep.expired("q")).leases
    await broker.work.settle([(first, DONE), (second, DONE)])
    assert ids((await broker.upkeep.expired("q")).leases) == ["2"]


async def test_the_leases_of_a_server_whose_id_starts_like_the_dead_ones_go_on(
    broker: Broker,
) -> None:
    await enqueue(broker, *many_pending(3))
    await take(broker, owner="worker-1/7")
    await take(broker, owner="worker-10/7")
    await take(broker, owner="worker-1/0/7")
    assert await broker.upkeep.end_leases("q", "worker-1") == 1
    assert ids((await broker.upkeep.expired("q")).leases) == ["0"]


async def test_the_leases_of_a_dead_server_are_over_at_once(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await take(broker, owner="dead/1")
    await take(broker, owner="alive/1")
    assert await broker.upkeep.end_leases("q", "dead") == 1
    assert ids((await broker.upkeep.expired("q")).leases) == ["1"]


async def test_the_leases_of_a_dead_server_with_many_tasks_are_over_at_once(broker: Broker) -> None:
    await enqueue(broker, *many_pending(600))
    await take(broker, 600, owner="dead/1")
    assert await broker.upkeep.end_leases("q", "dead") == 600


async def test_ending_leases_of_a_server_without_any_ends_none(broker: Broker) -> None:
    assert await broker.upkeep.end_leases("q", "dead") == 0


async def test_of_a_sound_queue_nothing_is_over(broker: Broker) -> None:
    await a_lease(broker)
    taken = await broker.upkeep.expired("q")
    assert (taken.leases, taken.poison) == ([], [])


# -- old tasks -------------------------------------------------------------------------------------


async def test_a_completed_task_goes_when_its_retention_is_over(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, completed(lease, retention=NOW - timedelta(seconds=1)))
    assert await broker.upkeep.trim("q", limit=100) == 1
    await enqueue(broker, a_pending("1"))


async def test_a_completed_task_stays_as_long_as_its_retention(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, completed(lease))
    assert await broker.upkeep.trim("q", limit=100) == 0


async def test_completed_tasks_go_in_batches(broker: Broker) -> None:
    await enqueue(broker, *many_pending(3))
    leases = await take(broker, 3)
    past = timedelta(seconds=-1)
    await broker.work.settle([(lease, completed(lease, retention=past)) for lease in leases])
    assert await broker.upkeep.trim("q", limit=2) == 2
    assert await broker.upkeep.trim("q", limit=2) == 1


async def test_a_small_young_archive_is_not_trimmed(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, archived(lease))
    assert await broker.upkeep.trim("q", limit=100) == 0


# -- looks -----------------------------------------------------------------------------------------

FOUND = {Job.FORWARD, Job.RECOVER, Job.DELIVER}
"""Jobs that are due only if there is something to do; the others may be due to find that out."""


async def test_a_look_at_a_sound_queue_finds_nothing_to_do(broker: Broker) -> None:
    await a_lease(broker)
    await enqueue(broker, a_pending("2"), a_scheduled("3", at_s=FUTURE_S))
    look = await broker.upkeep.look("q", server_id="me")
    assert (look.held_elsewhere_s, look.due & FOUND) == (None, set())


async def test_a_look_finds_a_due_task(broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1", at_s=PAST_S))
    look = await broker.upkeep.look("q", server_id="me")
    assert look.due & FOUND == {Job.FORWARD}


async def test_a_look_finds_a_task_to_be_retried_now(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease, after=timedelta(seconds=-1)))
    look = await broker.upkeep.look("q", server_id="me")
    assert look.due & FOUND == {Job.FORWARD}


async def test_a_look_finds_a_lease_that_is_over(broker: Broker) -> None:
    await a_lease(broker, lease_s=-1)
    look = await broker.upkeep.look("q", server_id="me")
    assert look.due & FOUND == {Job.RECOVER}


async def test_a_look_finds_a_retention_that_is_over(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, completed(lease, retention=NOW - timedelta(seconds=1)))
    assert Job.TRIM in (await broker.upkeep.look("q", server_id="me")).due


async def test_a_look_tells_when_the_next_task_is_due(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease, after=timedelta(seconds=60)))
    await enqueue(broker, a_scheduled("2", at_s=FUTURE_S))
    look = await broker.upkeep.look("q", server_id="me")
    assert look.next_in_s == pytest.approx(60, abs=2)


async def test_a_look_leaves_out_what_is_due_already_when_it_tells_the_next_time(
    broker: Broker,
) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, retried(lease, after=timedelta(seconds=60)))
    await enqueue(broker, a_scheduled("2", at_s=PAST_S))
    look = await broker.upkeep.look("q", server_id="me")
    assert Job.FORWARD in look.due
    assert look.next_in_s == pytest.approx(60, abs=2)


async def test_the_server_that_looks_again_still_does_the_upkeep(broker: Broker) -> None:
    await broker.upkeep.look("q", server_id="me")
    assert (await broker.upkeep.look("q", server_id="me")).held_elsewhere_s is None


async def test_another_server_does_the_upkeep_once_the_first_has_released_it(
    broker: Broker,
) -> None:
    await broker.upkeep.look("q", server_id="me")
    await broker.upkeep.release("q", server_id="me")
    assert (await broker.upkeep.look("q", server_id="you")).held_elsewhere_s is None
