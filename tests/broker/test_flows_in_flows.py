"""Every broker runs flows that are steps of others: such a step ends when its flow does."""

import pytest

from pyasynq import Client, Task
from pyasynq.broker import Broker
from pyasynq.client.flow_control import FlowControl
from pyasynq.core.flow_errors import FlowStateError
from pyasynq.core.flow_record import FLOW
from tests.support.factories import ids
from tests.support.flow_model import QUEUES
from tests.support.flows import deliver_all
from tests.support.subflows import Crew, inner_of, nested, open_nested, states_of

HOMES = ["q", "r"]

pytestmark = pytest.mark.needs("flows")


# -- in the order of the outer flow ----------------------------------------------------------------


@pytest.mark.parametrize("queue", HOMES)
async def test_a_flow_begins_when_the_steps_before_it_have_ended(
    broker: Broker, queue: str
) -> None:
    outer, crew = await open_nested(broker, nested(queue=queue)), Crew(broker)
    (first,) = await crew.take_all()
    assert first.id == f"{outer.id}:first"
    assert await broker.flows.read(queue, outer.step("inner").flow_id or "") is None
    await crew.end(first)
    (opener,) = await crew.take_all()
    await crew.end(opener)
    assert (await inner_of(broker, outer)).info().counts == {"running": 1, "waiting": 1}
    assert await states_of(broker, outer) == ["succeeded", "running", "waiting"]


@pytest.mark.parametrize("queue", HOMES)
async def test_a_step_ends_when_its_flow_has(broker: Broker, queue: str) -> None:
    outer, crew = await open_nested(broker, nested("sss", queue=queue)), Crew(broker)
    await crew.run()
    inner = await inner_of(broker, outer)
    assert await states_of(broker, outer) == ["succeeded"] * 3
    assert (inner.state, inner.marks) == ("succeeded", "sss")
    own = [f"{inner.id}:{name}" for name in ("s", "s-2", "s-3")]
    assert crew.ran == [f"{outer.id}:first", f"{outer.id}:inner", *own, f"{outer.id}:last"]


@pytest.mark.parametrize("queue", HOMES)
async def test_the_failure_of_a_flow_fails_its_step(broker: Broker, queue: str) -> None:
    outer = await open_nested(broker, nested("sf", queue=queue))
    await Crew(broker).run()
    inner = await inner_of(broker, outer)
    record = await broker.flows.read("q", outer.id)
    assert record is not None
    assert (record.state, record.marks) == ("failed", "sfu")
    assert record.errors == {1: f"its flow {inner.id} has failed"}


async def test_a_flow_whose_steps_are_skipped_succeeds(broker: Broker) -> None:
    outer = await open_nested(broker, nested("xs"))
    await Crew(broker).run()
    assert await states_of(broker, outer) == ["succeeded"] * 3


@pytest.mark.parametrize("queue", HOMES)
async def test_flows_end_in_one_another_as_deep_as_may_be(broker: Broker, queue: str) -> None:
    outer, crew = await open_nested(broker, nested("s", queue=queue, depth=5)), Crew(broker)
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3
    assert len(crew.ran) == len({*crew.ran}) == 4 * 3 + 1


async def test_a_flow_that_ends_when_it_is_opened_ends_its_step(broker: Broker) -> None:
    flow = nested("s", queue="r")
    outer, crew = await open_nested(broker, flow), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    task_id = f"{outer.step('inner').flow_id}:s"
    await Client(broker).enqueue(Task("s", queue="r"), task_id=task_id)  # the id is taken
    await crew.end(opener)
    assert await states_of(broker, outer) == ["succeeded", "failed", "upstream_failed"]


async def test_a_flow_is_opened_once_however_often_its_task_runs(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("ss")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    for _ in range(3):
        await crew.verdict_on(opener)
    assert (await inner_of(broker, outer)).version == 1
    await crew.end(opener)
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3


# -- operators act on the outer flow ---------------------------------------------------------------


@pytest.mark.parametrize("queue", HOMES)
async def test_the_cancellation_of_a_flow_cancels_those_in_it(broker: Broker, queue: str) -> None:
    outer, crew = await open_nested(broker, nested("ss", queue=queue)), Crew(broker)
    await crew.run(2)
    record = await FlowControl(broker).cancel("q", outer.id, "why")
    inner = await inner_of(broker, outer)
    assert (record.state, record.marks[2]) == ("cancelled", "x")
    assert (inner.state, inner.marks) == ("cancelled", "xx")
    await deliver_all(broker, QUEUES)
    assert await crew.take_all() == []
    assert await states_of(broker, outer) == ["succeeded", "failed", "skipped"]


async def test_the_cancellation_of_a_flow_deletes_the_task_that_would_open_another(
    broker: Broker,
) -> None:
    outer, crew = await open_nested(broker, nested("ss", queue="r")), Crew(broker)
    await crew.run(1)
    await FlowControl(broker).cancel("q", outer.id, "why")
    assert await crew.take_all() == []
    assert await states_of(broker, outer) == ["succeeded", "skipped", "skipped"]


async def test_a_flow_that_is_opened_while_its_step_is_stopped_is_cancelled(
    broker: Broker,
) -> None:
    outer, crew = await open_nested(broker, nested("ss", queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    await FlowControl(broker).cancel("q", outer.id, "why")
    await crew.end(opener)
    assert await broker.flows.read("r", outer.step("inner").flow_id or "") is None
    assert await crew.take_all() == []
    assert await states_of(broker, outer) == ["succeeded", "failed", "skipped"]


@pytest.mark.parametrize("queue", HOMES)
async def test_a_step_that_is_skipped_cancels_its_flow(broker: Broker, queue: str) -> None:
    outer, crew = await open_nested(broker, nested("ss", queue=queue)), Crew(broker)
    await crew.run(2)
    await FlowControl(broker).skip("q", outer.id, "inner")
    assert (await inner_of(broker, outer)).state == "cancelled"
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3


@pytest.mark.parametrize("queue", HOMES)
async def test_a_retry_repeats_what_has_failed_in_the_inner_flow(
    broker: Broker, queue: str
) -> None:
    outer, crew = await open_nested(broker, nested("sfs", queue=queue)), Crew(broker)
    await crew.run()
    ran = len(crew.ran)
    await FlowControl(broker).retry("q", outer.id)
    opener, *others = await crew.take_all()
    assert (opener.id, others) == (f"{outer.id}:inner:1", [])
    await crew.end(opener)
    (again,) = await crew.take_all()
    again.message.type = "s"
    await crew.end(again)
    await crew.run()
    inner = await inner_of(broker, outer)
    own = [f"{inner.id}:f:1", f"{inner.id}:s-2"]
    assert crew.ran[ran:] == [opener.id, *own, f"{outer.id}:last"]
    assert await states_of(broker, outer) == ["succeeded"] * 3
    assert (inner.state, inner.times[FLOW]) == ("succeeded", 1)


@pytest.mark.parametrize("queue", HOMES)
async def test_a_flow_that_fails_again_fails_its_step_again(broker: Broker, queue: str) -> None:
    outer, crew = await open_nested(broker, nested("f", queue=queue)), Crew(broker)
    await crew.run()
    for times in (1, 2):
        await FlowControl(broker).retry("q", outer.id)
        assert await states_of(broker, outer) == ["succeeded", "running", "waiting"]
        await crew.run()
        assert await states_of(broker, outer) == ["succeeded", "failed", "upstream_failed"]
        assert (await inner_of(broker, outer)).times == {0: times, FLOW: times}


async def test_a_retry_opens_a_flow_that_is_gone_anew(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("f", queue="r")), Crew(broker)
    await crew.run()
    await broker.inspection.remove("r", force=True)
    await FlowControl(broker).retry("q", outer.id)
    await crew.run()
    inner = await inner_of(broker, outer)
    assert (inner.times, inner.parent is not None and inner.parent.member) == ({}, 1)
    assert await states_of(broker, outer) == ["succeeded", "failed", "upstream_failed"]


async def test_a_cancelled_flow_goes_on_with_those_in_it_when_it_is_retried(
    broker: Broker,
) -> None:
    outer, crew = await open_nested(broker, nested("ss", queue="r")), Crew(broker)
    await crew.run(3)
    await FlowControl(broker).cancel("q", outer.id, "why")
    await deliver_all(broker, QUEUES)
    await FlowControl(broker).retry("q", outer.id)
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3
    assert (await inner_of(broker, outer)).marks == "ss"


# -- operators act on the inner flow ---------------------------------------------------------------


@pytest.mark.parametrize("queue", HOMES)
async def test_a_flow_that_is_cancelled_by_hand_fails_its_step(broker: Broker, queue: str) -> None:
    outer, crew = await open_nested(broker, nested("ss", queue=queue)), Crew(broker)
    await crew.run(2)
    inner = await inner_of(broker, outer)
    await FlowControl(broker).cancel(queue, inner.id, "an operator has")
    await deliver_all(broker, QUEUES)
    record = await broker.flows.read("q", outer.id)
    assert record is not None
    assert record.errors == {1: f"its flow {inner.id} was cancelled: an operator has"}


async def test_a_flow_that_is_retried_by_hand_reports_no_second_time(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("f", queue="r")), Crew(broker)
    await crew.run()
    inner = await inner_of(broker, outer)
    await FlowControl(broker).retry("r", inner.id)
    (again,) = await crew.take_all()
    again.message.type = "s"
    await crew.end(again)
    assert (await inner_of(broker, outer)).state == "succeeded"
    assert await states_of(broker, outer) == ["succeeded", "failed", "upstream_failed"]


async def test_a_retry_takes_over_what_was_retried_by_hand(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("f", queue="r")), Crew(broker)
    await crew.run()
    inner = await inner_of(broker, outer)
    control = FlowControl(broker)
    await control.retry("r", inner.id)
    (again,) = await crew.take_all()
    await control.retry("q", outer.id)
    await crew.run()  # the task that would open it finds that it runs
    assert await states_of(broker, outer) == ["succeeded", "running", "waiting"]
    again.message.type = "s"
    await crew.end(again)
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3


async def test_a_retry_finds_that_the_flow_has_succeeded_meanwhile(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("f", queue="r")), Crew(broker)
    await crew.run()
    control = FlowControl(broker)
    await control.retry("r", (await inner_of(broker, outer)).id)
    (again,) = await crew.take_all()
    again.message.type = "s"
    await crew.end(again)
    await control.retry("q", outer.id)
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3


async def test_a_flow_is_stopped_only_for_the_try_that_it_runs_for(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("f", queue="r")), Crew(broker)
    await crew.run()
    first = (await inner_of(broker, outer)).parent
    assert first is not None
    control = FlowControl(broker)
    await control.retry("q", outer.id)
    await crew.run(1)
    inner = await inner_of(broker, outer)
    with pytest.raises(FlowStateError, match="does not run for the flow"):
        await control.cancel("r", inner.id, "late", parent=first)
    assert ids(await crew.take_all()) == [f"{inner.id}:f:1"]
