"""A worker drops members of a cancelled batch, and asks for each batch once in some time."""

import pytest

from pyasynq import App, Clock, Inspector, RevokeTask
from pyasynq.broker import BatchRef, Broker, open_broker
from pyasynq.core.batch import BatchPlan, make_member, member_id
from pyasynq.core.compose import Plan
from pyasynq.core.report import Place
from pyasynq.server.run.cancelled_batches import KNOWN_S, CancelledBatches
from tests.support.clocks import SteeredClock
from tests.support.factories import a_pending
from tests.support.waiting import wait_until


def a_member(number: int = 0) -> Plan:
    plan = a_pending(member_id("b", number))
    make_member(plan.message, Place(kind="batch", queue="q", id="b", member=number))
    return plan


async def start(broker: Broker) -> None:
    batch = BatchRef(queue="q", id="b", home="q")
    await broker.batches.stage(batch, [a_member()], first=0)
    await broker.batches.start(batch, 1, BatchPlan(then=None, failed=None, kept_s=100))


async def test_a_member_may_begin_until_its_batch_is_known_to_be_cancelled(broker: Broker) -> None:
    clock = SteeredClock()
    cancelled = CancelledBatches(broker.batches, clock)
    await start(broker)
    await cancelled.check(a_member().message)
    await broker.batches.cancel("q", "b")
    await cancelled.check(a_member().message)
    clock.advance(seconds=KNOWN_S)
    with pytest.raises(RevokeTask, match="batch b is cancelled"):
        await cancelled.check(a_member().message)


async def test_a_task_without_a_batch_may_begin(broker: Broker) -> None:
    await CancelledBatches(broker.batches, Clock()).check(a_pending("1").message)


async def test_a_member_may_begin_if_the_broker_does_not_answer() -> None:
    broker = open_broker("redis://127.0.0.1:1", Clock())  # nobody listens there
    await CancelledBatches(broker.batches, Clock()).check(a_member().message)
    await broker.aclose()


async def test_the_members_of_a_long_queue_are_dropped_when_they_are_taken(broker: Broker) -> None:
    app, ran = App(broker, concurrency=5), list[int]()

    @app.task("work")
    async def work(number: int) -> None:
        ran.append(number)

    async with app, Inspector(broker) as inspector:
        info = await app.batch(work.task(number) for number in range(1200)).enqueue()
        await inspector.cancel_batch("default", info.id)

        async def has_ended() -> bool:
            return (await inspector.batch("default", info.id)).ended_at is not None

        async with app.server().running():
            await wait_until(has_ended)
        found = await inspector.batch("default", info.id)
    assert (found.state, found.ended, found.failed, ran) == ("cancelled", 1200, 0, [])
