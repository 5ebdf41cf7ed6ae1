"""A flow is opened for a step that waits for it, and for no other."""

import pytest

from pyasynq import Flow, Task
from pyasynq.broker import Broker
from pyasynq.client import Client
from pyasynq.client.flow_control import NOT_AWAITED, FlowControl
from pyasynq.core.control import PayloadError, SkipRetry
from pyasynq.core.flow_record import NewFlow
from tests.support.flows import record_of
from tests.support.subflows import Crew, inner_of, nested, open_nested, states_of


async def test_a_flow_that_is_opened_while_its_step_is_stopped_is_cancelled(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, crew = await open_nested(broker, nested(queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    open_flow = broker.flows.open

    async def open_late(flow: NewFlow) -> bool:
        await FlowControl(broker).cancel("q", outer.id, "why")
        return await open_flow(flow)

    monkeypatch.setattr(broker.flows, "open", open_late)
    await crew.end(opener)
    inner = await inner_of(broker, outer)
    assert (inner.state, inner.reason) == ("cancelled", NOT_AWAITED)
    assert await crew.take_all() == []
    assert await states_of(broker, outer) == ["succeeded", "failed", "skipped"]


async def test_a_step_that_is_stopped_before_its_flow_is_opened_ends(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested(queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    await FlowControl(broker).cancel("q", outer.id, "why")
    await crew.end(opener)
    assert await broker.flows.read("r", outer.step("inner").flow_id or "") is None
    assert (await record_of(broker, outer.id)).errors == {1: NOT_AWAITED}


async def test_a_late_run_of_the_task_stops_nothing_of_a_later_try(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested("f", queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    await crew.end(opener)
    await crew.run()
    await FlowControl(broker).retry("q", outer.id)
    await crew.run(1)
    await crew.verdict_on(opener)
    assert (await inner_of(broker, outer)).state == "running"
    assert await states_of(broker, outer) == ["succeeded", "running", "waiting"]


async def test_a_flow_of_another_with_this_id_is_left_alone(broker: Broker) -> None:
    outer, crew = await open_nested(broker, nested(queue="r")), Crew(broker)
    other = Flow("other", queue="r", id=outer.step("inner").flow_id or "")
    other.add(Task("s", queue="r"))
    await Client(broker).enqueue_flow(other)
    await crew.run(1)
    *_, opener = await crew.take_all()
    with pytest.raises(SkipRetry, match="is no step of the flow"):
        await crew.verdict_on(opener)


async def test_a_task_that_holds_no_flow_is_refused(broker: Broker) -> None:
    _, crew = await open_nested(broker, nested(queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    opener.message.payload = b"{}"
    with pytest.raises(PayloadError):
        await crew.verdict_on(opener)
