"""A retried step has a task of its own, whose id no other step of the flow has."""

import msgspec
import pytest

from pyasynq.core.flow import FlowState, Node
from pyasynq.core.flow_record import FLOW, FlowRecord, FlowSpec, report_to_parent, subflow_id
from pyasynq.core.report import Place, Report, Result


def a_record(*names: str, times: int = 0) -> FlowRecord:
    """Return a flow with steps of these names, the first of which was retried."""
    nodes = tuple(Node(name=name, type="t", task_id=f"flow:{name}") for name in names)
    return FlowRecord(
        queue="q",
        id="flow",
        spec=FlowSpec(name="import", nodes=nodes, keep_s=1, keep_failed_s=1),
        state="failed",
        marks="f" * len(names),
        version=1,
        created_s=1,
        times={0: times} if times else {},
    )


@pytest.mark.parametrize(
    ("names", "times", "now"),
    [
        (["a", "b"], 0, 1),
        (["a", "b"], 1, 2),
        (["a", "a:1"], 0, 2),
        (["a", "a:1", "a:2", "a:4"], 0, 3),
        (["a", "a:1", "a:2", "a:4"], 3, 5),
    ],
)
def test_a_retry_leaves_out_numbers_that_make_the_id_of_another_step(
    names: list[str], times: int, now: int
) -> None:
    assert a_record(*names, times=times).next_times(0) == now


# -- flows that are steps --------------------------------------------------------------------------


def test_the_flow_that_a_step_is_has_one_id_however_often_the_step_is_retried() -> None:
    first = subflow_id("q", "flow:a")
    assert [subflow_id("q", f"flow:a:{times}", times) for times in (1, 2, 11)] == [first] * 3
    assert len(first) == 36


def test_other_steps_are_other_flows() -> None:
    others = [
        subflow_id("q", "flow:a"),
        subflow_id("r", "flow:a"),
        subflow_id("q", "flow:b"),
        subflow_id("q", "flow:a:1"),  # the first try of a step of this name
        subflow_id("q", "other:a"),
    ]
    assert len({*others}) == 5


PARENT = Place(kind="flow", queue="r", id="outer", node=3, member=1)


def a_part(state: FlowState, **changes: object) -> FlowRecord:
    record = a_record("a")
    spec = msgspec.structs.replace(record.spec, parent=PARENT)
    return msgspec.structs.replace(record, spec=spec, state=state, **changes)


@pytest.mark.parametrize(
    ("state", "result", "error"),
    [
        ("succeeded", "succeeded", ""),
        ("failed", "failed", "its flow flow has failed"),
        ("cancelled", "failed", "its flow flow was cancelled: why"),
    ],
)
def test_a_flow_that_has_ended_reports_to_the_step_that_it_is(
    state: FlowState, result: Result, error: str
) -> None:
    report = report_to_parent(a_part(state, reason="why"))
    assert report == Report(place=PARENT, result=result, error=error)


def test_a_flow_reports_for_the_try_that_it_runs_for() -> None:
    report = report_to_parent(a_part("succeeded", times={FLOW: 4}))
    assert report is not None
    assert report.place.member == 4


def test_no_report_on_a_flow_that_runs_or_is_no_step() -> None:
    assert report_to_parent(a_part("running")) is None
    assert report_to_parent(a_record("a")) is None
