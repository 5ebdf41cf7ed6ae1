"""A retried step has a task of its own, whose id no other step of the flow has."""

import pytest

from pyasynq.core.flow import Node
from pyasynq.core.flow_record import FlowRecord, FlowSpec


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
