"""What can be no flow, and no step, is refused where it is written."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pyasynq import Flow, OptionError, Task
from pyasynq.core.flow import MAX_STEPS

CASES: dict[str, Callable[[], object]] = {
    "braces in the home": lambda: Flow("f", queue="a}{b"),
    "a home that is no text": lambda: Flow("f", queue=7),  # type: ignore[arg-type]
    "an id that is no UTF-8": lambda: Flow("f", id="\ud800"),
    "a blank id": lambda: Flow("f", id=" "),
    "a name that is too long": lambda: Flow("f" * 256),
    "a negative timeout": lambda: Flow("f", timeout=timedelta(-1)),
    "a negative keep": lambda: Flow("f", keep=timedelta(-1)),
    "an endless keep": lambda: Flow("f", keep_failed=timedelta.max),
    "a gate with a negative timeout": lambda: Flow("f").gate("g", timeout=timedelta(-1)),
    "a task id that is too long": lambda: Flow("f", id="i" * 200).add(Task("t" * 50)),
    "a step whose name is too long": lambda: Flow("f").add(Task("t"), name="n" * 255),
    "a step whose name is no UTF-8": lambda: Flow("f").add(Task("t"), name="\udc80"),
}


@pytest.mark.parametrize("case", [*CASES])
def test_what_cannot_be_is_refused(case: str) -> None:
    with pytest.raises(OptionError):
        CASES[case]()


def test_the_id_of_a_flow_and_the_names_of_its_steps_may_have_any_text() -> None:
    flow = Flow("{a}", id="a}{b:\n")
    steps = [flow.add(Task("t"), name=name) for name in ("a:1", "a", "\x00", "ü" * 40, "{}")]
    assert [step.number for step in steps] == [0, 1, 2, 3, 4]


def full() -> Flow:
    """Return a flow with as many steps as it may have."""
    flow = Flow("full")
    _ = [flow.gate(f"{number}") for number in range(MAX_STEPS)]
    return flow


def part() -> Flow:
    """Return a flow that is a step of another."""
    flow = Flow("part")
    flow.gate("approval")
    Flow("whole").add(flow)
    return flow


@pytest.mark.parametrize("make", [full, part])
def test_a_flow_that_takes_no_step_leaves_the_generators_of_the_other_flow_unread(
    make: Callable[[], Flow],
) -> None:
    inner, tasks = Flow("inner"), (Task("t") for _ in range(2))
    inner.map(tasks)
    with pytest.raises(OptionError):
        make().add(inner)
    assert len([*tasks]) == 2
