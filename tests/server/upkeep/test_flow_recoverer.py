"""Flows go on after steps whose end nobody has reported, and end when their time is over."""

from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest

from pyasynq import Clock
from pyasynq.broker import Broker, Container, StoredTask
from pyasynq.core.errors import BrokerUnavailableError
from pyasynq.core.flow import MAP_GONE, Moves
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.flow_record import FLOW, FlowChange, NewFlow
from pyasynq.core.report import unpack_output
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE, Verdict
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.upkeep import flow_recoverer
from pyasynq.server.upkeep.flow_recoverer import GONE, FlowRecoverer
from tests.support.factories import archived, completed, retried, settle, take
from tests.support.flow_model import StepShape
from tests.support.flows import (
    a_flow,
    a_map,
    damage_flow,
    deliver_all,
    ending,
    hold_map,
    marks_of,
    open_flow,
    record_of,
)
from tests.support.subflows import Crew, inner_of, nested, open_nested, states_of
from tests.support.waiting import wait_until

FIRST: StepShape = ("succeeded", ())
NEXT: StepShape = ("succeeded", (0,))
GATE = {"type": "", "task_id": "", "timeout_s": 1}


@pytest.fixture
def recoverer(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> FlowRecoverer:
    """Return a recoverer for which each flow is idle at once."""
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    return FlowRecoverer(broker, "q", clock=Clock(), outages=OutageLog("the broker"))


async def end_alone(broker: Broker, verdict: Verdict | None = None, *, result: bytes = b"") -> None:
    """End the next task of ``q`` as a worker does that knows no flows."""
    (lease,) = await take(broker)
    if result:
        await broker.work.write_result(lease, result)
    assert await settle(broker, lease, verdict or completed(lease)) is True


async def test_a_completed_task_says_that_its_step_has_succeeded(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    await end_alone(broker, result=b"[1]")
    await recoverer.step()
    assert await marks_of(broker) == "sr"
    outputs = await broker.flows.outputs("q", "flow", [0])
    assert outputs is not None
    assert [unpack_output(output) for output in outputs if output] == [("", b"[1]")]


async def test_an_archived_task_says_that_its_step_has_failed(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    (lease,) = await take(broker)
    await settle(broker, lease, archived(lease))
    await recoverer.step()
    record = await record_of(broker)
    assert (record.marks, record.errors) == ("fu", {0: "boom"})


async def test_a_task_that_is_gone_has_failed(broker: Broker, recoverer: FlowRecoverer) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    await end_alone(broker, DONE)
    await recoverer.step()
    record = await record_of(broker)
    assert (record.state, record.marks, record.errors) == ("failed", "fu", {0: GONE})


async def test_a_task_that_an_operator_has_deleted_has_failed(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, a_flow(FIRST, FIRST))
    container = Container(queue="q", state=TaskState.PENDING)
    await broker.inspection.apply(Action.DELETE, container, ["flow:1"])
    await recoverer.step()
    assert await marks_of(broker) == "rf"


async def test_tasks_that_wait_or_run_are_left_alone(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, a_flow(FIRST, FIRST, FIRST, changes={2: {"delay_s": 1000}}))
    (lease,) = await take(broker)
    await recoverer.step()
    await settle(broker, lease, retried(lease))
    await recoverer.step()
    assert await marks_of(broker) == "rrr"


async def test_a_task_on_its_way_is_not_gone(broker: Broker, recoverer: FlowRecoverer) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT, queues="qr"))
    (lease,) = await take(broker)
    await settle(broker, lease, ending(lease))  # the task for `r` is in the mail now
    await recoverer.step()
    assert await marks_of(broker) == "sr"


async def test_a_report_on_its_way_counts_before_the_task_is_gone(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, a_flow(FIRST, queues="r"))
    (lease,) = await take(broker, queue="r")
    await settle(broker, lease, ending(lease))  # the report is in the mail of `r` now
    await recoverer.step()
    assert await marks_of(broker) in {"r", "s"}
    await deliver_all(broker, ["r"])
    assert await marks_of(broker) == "s"


async def test_a_report_that_waits_in_its_home_counts_before_the_task_is_gone(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    fans = [NEXT] * 999
    for number in range(4):  # one call takes on as many flows as start some thousand steps
        await open_flow(broker, a_flow(FIRST, *fans, flow_id=f"{number}"))
    leases = await take(broker, 4)
    await broker.work.settle([(lease, ending(lease)) for lease in leases])
    await recoverer.step()
    await deliver_all(broker, "q")
    assert {await marks_of(broker, f"{number}") for number in range(4)} == {"s" + "r" * 999}


async def test_a_map_whose_tasks_are_gone_has_failed(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT, changes={0: a_map(queue="r")}))
    await deliver_all(broker, "qr")
    await recoverer.step()
    record = await record_of(broker)
    assert (record.marks, record.errors) == ("fu", {0: MAP_GONE})


async def test_a_map_that_waits_or_runs_is_left_alone(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await hold_map(broker)
    await hold_map(broker, node=1, batch_id="n")
    await open_flow(broker, a_flow(FIRST, NEXT, changes={0: a_map(), 1: a_map(batch_id="n")}))
    await recoverer.step()
    await deliver_all(broker, "q")
    await recoverer.step()
    assert await marks_of(broker) == "rw"


def short(flow: NewFlow) -> NewFlow:
    """Return *flow* with a timeout of a second."""
    return msgspec.structs.replace(flow, spec=msgspec.structs.replace(flow.spec, timeout_s=1))


async def test_a_gate_fails_when_its_time_is_over(broker: Broker, recoverer: FlowRecoverer) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT, changes={0: GATE}))

    async def has_failed() -> bool:
        await recoverer.step()
        return await marks_of(broker) == "fu"

    await wait_until(has_failed)
    record = await record_of(broker)
    assert (record.state, record.errors) == ("failed", {0: "no signal came in time"})


async def test_a_flow_is_cancelled_when_its_time_is_over(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, short(a_flow(FIRST, FIRST, NEXT, changes={1: {"delay_s": 1000}})))
    (lease,) = await take(broker)

    async def is_over() -> bool:
        await recoverer.step()
        return (await record_of(broker)).state == "cancelled"

    await wait_until(is_over)
    record = await record_of(broker)
    assert (record.marks, record.reason) == ("rxx", "its timeout has passed")
    assert await broker.inspection.task("q", "flow:1") is None
    assert await settle(broker, lease, ending(lease)) is True
    assert await marks_of(broker) == "sxx"


async def test_what_still_runs_of_a_flow_that_is_out_of_time_is_stopped_once_it_can_be(
    broker: Broker, recoverer: FlowRecoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_flow(broker, short(a_flow(FIRST)))

    async def look(queue: str, task_id: str) -> StoredTask | None:
        raise BrokerUnavailableError("its node is away")

    async def is_over() -> bool:
        with suppress(BrokerUnavailableError):
            await recoverer.step()
        return (await record_of(broker)).state == "cancelled"

    with monkeypatch.context() as patch:
        patch.setattr(broker.inspection, "task", look)
        await wait_until(is_over)
    assert await marks_of(broker) == "r"
    await recoverer.step()
    assert await marks_of(broker) == "x"
    assert await take(broker) == []


async def test_a_flow_is_forgotten_some_time_after_its_end(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    flow = a_flow(FIRST)
    spec = msgspec.structs.replace(flow.spec, keep_s=1)
    await open_flow(broker, msgspec.structs.replace(flow, spec=spec))
    (lease,) = await take(broker)
    await settle(broker, lease, ending(lease))

    async def is_gone() -> bool:
        await recoverer.step()
        return await broker.flows.read("q", "flow") is None

    await wait_until(is_gone)
    assert await broker.flows.list("q", running=False, start=0, count=9) == []


async def test_a_flow_that_cannot_be_read_is_logged_once_and_stops_no_other(
    broker: Broker, recoverer: FlowRecoverer, caplog: pytest.LogCaptureFixture
) -> None:
    await open_flow(broker, a_flow(FIRST, flow_id="a"))
    await open_flow(broker, a_flow(FIRST, NEXT))
    await damage_flow(broker, "a")
    for _ in range(2):
        await end_alone(broker)
    for _ in range(3):
        await recoverer.step()
    assert await marks_of(broker) == "sr"
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "flow 'a' of 'q' cannot be read" in text]) == 1


async def test_the_time_of_a_flow_is_over_beside_one_that_cannot_be_read(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    await open_flow(broker, short(a_flow(FIRST, flow_id="a")))
    await open_flow(broker, short(a_flow(FIRST)))
    await damage_flow(broker, "a")

    async def is_over() -> bool:
        await recoverer.step()
        return (await record_of(broker)).state == "cancelled"

    await wait_until(is_over)


# -- steps that are flows --------------------------------------------------------------------------


async def begun(broker: Broker, ends: str = "s", *, queue: str = "r") -> tuple[Crew, FlowInfo]:
    """Open a flow whose second step is a flow; let that begin."""
    outer, crew = await open_nested(broker, nested(ends, queue=queue)), Crew(broker)
    await crew.run(2)
    return crew, outer


async def test_a_flow_in_a_flow_is_left_alone_while_it_waits_or_runs(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    outer, crew = await open_nested(broker, nested("s", queue="r")), Crew(broker)
    await crew.run(1)
    for _ in range(3):
        await recoverer.step()
    (opener,) = await crew.take_all()
    await recoverer.step()
    await crew.end(opener)
    for _ in range(3):
        await recoverer.step()
    assert await states_of(broker, outer) == ["succeeded", "running", "waiting"]


@pytest.mark.parametrize(("ends", "state"), [("s", "succeeded"), ("f", "failed")])
async def test_the_end_of_a_flow_in_a_flow_is_noticed_if_nobody_reports_it(
    broker: Broker, recoverer: FlowRecoverer, ends: str, state: str
) -> None:
    crew, outer = await begun(broker, ends)
    inner = await inner_of(broker, outer)
    stray = FlowChange(moves=Moves(inner.marks, ()), times={FLOW: 7})  # nobody waits for that try
    assert await broker.flows.change(inner, stray) is True
    (lease,) = await crew.take_all()
    await crew.end(lease)
    assert (await inner_of(broker, outer)).state == state
    assert await states_of(broker, outer) == ["succeeded", "running", "waiting"]
    await recoverer.step()
    assert (await states_of(broker, outer))[1] == state


async def test_a_flow_in_a_flow_that_is_gone_has_failed(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    _, outer = await begun(broker)
    await broker.inspection.remove("r", force=True)
    await recoverer.step()
    assert await states_of(broker, outer) == ["succeeded", "failed", "upstream_failed"]


async def test_a_task_that_would_open_a_flow_and_is_gone_has_failed(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    outer, crew = await open_nested(broker, nested("s", queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    await settle(broker, opener, DONE)  # as a worker does that takes any task for its own
    await recoverer.step()
    record = await record_of(broker, outer.id)
    assert (record.marks, record.errors) == ("sfu", {1: GONE})


async def test_a_task_that_an_operator_has_archived_before_it_opened_its_flow_has_failed(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    outer, crew = await open_nested(broker, nested("s", queue="r")), Crew(broker)
    await crew.run(1)
    (opener,) = await crew.take_all()
    await settle(broker, opener, archived(opener))
    await recoverer.step()
    assert (await record_of(broker, outer.id)).errors == {1: "boom"}


async def test_a_flow_in_a_flow_that_is_out_of_time_fails_its_step(
    broker: Broker,
) -> None:
    flow = nested("s", queue="r", timeout=timedelta(seconds=1))
    outer, crew = await open_nested(broker, flow), Crew(broker)
    await crew.run(2)
    recoverer = FlowRecoverer(broker, "r", clock=Clock(), outages=OutageLog("the broker"))

    async def is_over() -> bool:
        await recoverer.step()
        await deliver_all(broker, "qr")
        return (await record_of(broker, outer.id)).state == "failed"

    await wait_until(is_over)
    inner = await inner_of(broker, outer)
    error = f"its flow {inner.id} was cancelled: its timeout has passed"
    assert (await record_of(broker, outer.id)).errors == {1: error}


async def test_a_flow_that_is_out_of_time_cancels_those_in_it(
    broker: Broker, recoverer: FlowRecoverer
) -> None:
    flow = nested("s", queue="r")
    flow.draft.timeout_s = 1
    outer, crew = await open_nested(broker, flow), Crew(broker)
    await crew.run(2)

    async def is_over() -> bool:
        await recoverer.step()
        return (await inner_of(broker, outer)).state == "cancelled"

    await wait_until(is_over)
    assert (await record_of(broker, outer.id)).state == "cancelled"
    assert await crew.take_all() == []
