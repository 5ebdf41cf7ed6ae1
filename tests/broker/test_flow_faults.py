"""Flows at their bounds: the most steps that start at once, and reports that fit no step."""

import pytest

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerError
from pyasynq.core.report import Place, Report
from tests.support.factories import settle, take
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, damage_flow, deliver_all, ending, marks_of, open_flow

FIRST: StepShape = ("succeeded", ())
NEXT: StepShape = ("succeeded", (0,))

pytestmark = pytest.mark.needs("flows")


@pytest.mark.parametrize("delay_s", [0, 9])
async def test_flows_that_each_start_a_thousand_steps_go_on_in_one_call(
    broker: Broker, delay_s: int
) -> None:
    delayed = {n: {"delay_s": delay_s} for n in range(1, 1000)}
    for number in range(9):
        await open_flow(broker, a_flow(FIRST, *[NEXT] * 999, flow_id=f"{number}", changes=delayed))
    leases = await take(broker, 9)
    answers = await broker.work.settle([(lease, ending(lease)) for lease in leases])
    assert answers == [True] * 9
    await deliver_all(broker, "q")
    info = await broker.inspection.queue_info("q", memory=False)
    assert info.pending + info.scheduled == 9 * 999
    assert [await marks_of(broker, f"{number}") for number in range(9)] == ["s" + "r" * 999] * 9


@pytest.mark.parametrize(
    ("marks", "last"),
    [("s" * 100, "rrxr"), ("s" * 50 + "f" + "s" * 49, "rurr"), ("x" * 100, "xxxr")],
)
async def test_many_steps_before_the_same_ones_end_in_one_call(
    broker: Broker, marks: str, last: str
) -> None:
    before = tuple(range(100))
    ways: list[StepShape] = [
        ("succeeded", before[:50]),
        ("succeeded", before),
        ("failed", before),
        ("ended", before),
    ]
    await open_flow(broker, a_flow(*[FIRST] * 100, *ways))
    leases = await take(broker, 100)
    settled = [(it, ending(it, mark)) for it, mark in zip(leases, marks, strict=True)]
    assert await broker.work.settle(settled) == [True] * 100
    assert await marks_of(broker) == marks + last


@pytest.mark.parametrize("node", [-1, 2, 1_000_000])
async def test_a_report_on_a_step_that_there_is_not_changes_nothing(
    broker: Broker, node: int
) -> None:
    await open_flow(broker, a_flow(FIRST, FIRST))
    place = Place(kind="flow", queue="q", id="flow", node=node)
    await broker.flows.report([Report(place=place, result="succeeded")])
    assert await marks_of(broker) == "rr"


async def test_a_step_of_a_flow_that_cannot_be_read_ends_as_a_task(broker: Broker) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    (lease,) = await take(broker)
    await damage_flow(broker, "flow")
    assert await settle(broker, lease, ending(lease)) is True
    assert await broker.inspection.task("q", "flow:0") is None


async def test_a_flow_that_cannot_be_read_is_an_error_and_is_not_listed(broker: Broker) -> None:
    for flow_id in ("broken", "sound"):
        await open_flow(broker, a_flow(FIRST, flow_id=flow_id))
    await damage_flow(broker, "broken")
    with pytest.raises(BrokerError, match="flow 'broken' of 'q' cannot be read"):
        await broker.flows.read("q", "broken")
    listed = await broker.flows.list("q", running=True, start=0, count=9)
    assert [flow.id for flow in listed] == ["sound"]
