"""Every broker creates the task of a row once, even if the row is sent again."""

import pytest

from pyasynq.broker import Broker, Created, NotCreated
from pyasynq.core.compose import Plan
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.verdict import DONE
from tests.support.factories import (
    LOCK,
    PAST_S,
    a_grouped,
    a_pending,
    a_scheduled,
    enqueue,
    ids,
    relay,
    settle,
    take,
)

pytestmark = pytest.mark.needs("receipts")

PLANS = [a_pending("1"), a_scheduled("1"), a_grouped("1")]
every_plan = pytest.mark.parametrize("plan", PLANS, ids=["pending", "scheduled", "grouped"])


async def send(broker: Broker, *plans: Plan) -> list[Created]:
    """Create *plans* and return the answers; each row has the id of its task."""
    return await relay(broker, [(f"row {plan.message.id}", plan) for plan in plans])


@every_plan
async def test_a_row_that_is_sent_again_was_enqueued_before(plan: Plan, broker: Broker) -> None:
    assert await send(broker, plan) == [None]
    assert await send(broker, plan) == [NotCreated()]


async def test_a_row_whose_task_is_done_is_not_enqueued_again(broker: Broker) -> None:
    await send(broker, a_pending("1"))
    (lease,) = await take(broker)
    assert await settle(broker, lease, DONE)
    assert await send(broker, a_pending("1")) == [NotCreated()]
    assert await take(broker) == []


async def test_one_row_twice_in_a_batch_is_enqueued_once(broker: Broker) -> None:
    assert await send(broker, a_pending("1"), a_pending("1")) == [None, NotCreated()]


async def test_rows_of_a_batch_keep_their_order(broker: Broker) -> None:
    await send(broker, *(a_pending(str(n)) for n in range(5)))
    assert ids(await take(broker, 5)) == ["0", "1", "2", "3", "4"]


async def test_rows_of_several_queues_and_kinds_are_each_answered(broker: Broker) -> None:
    plans = [a_pending("1"), a_pending("2", queue="p"), a_scheduled("3"), a_grouped("4")]
    await send(broker, plans[1])
    assert await send(broker, *plans) == [None, NotCreated(), None, None]


async def test_an_id_that_is_taken_is_refused_without_a_receipt(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    (refusal,) = await send(broker, a_pending("1"))
    assert isinstance(refusal, TaskIDConflictError)
    (lease,) = await take(broker)
    await settle(broker, lease, DONE)
    assert await send(broker, a_pending("1")) == [None]


async def test_a_held_lock_refuses_a_row(broker: Broker) -> None:
    await enqueue(broker, a_pending("other", lock=LOCK))
    (refusal,) = await send(broker, a_pending("1", lock=LOCK))
    assert isinstance(refusal, DuplicateTaskError)


async def test_a_delayed_row_is_forwarded_when_due(broker: Broker) -> None:
    await send(broker, a_scheduled("1", at_s=PAST_S))
    assert (await broker.upkeep.forward("q")).moved == 1
    assert ids(await take(broker)) == ["1"]


async def test_a_delayed_row_keeps_its_group(broker: Broker) -> None:
    await send(broker, a_scheduled("1", at_s=PAST_S, group_key="g"))
    await broker.upkeep.forward("q")
    assert await take(broker) == []


async def test_a_receipt_that_is_shortened_still_counts(broker: Broker) -> None:
    await send(broker, a_pending("1"), a_pending("2", queue="p"))
    await broker.receipts.expire([("q", "row 1"), ("p", "row 2")], ttl_s=50)
    assert await send(broker, a_pending("1")) == [NotCreated()]
