"""What a flow does next follows from its graph and the marks of its steps."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.flow import (
    FAILED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UPSTREAM_FAILED,
    Node,
    When,
    advance,
    begin,
    cancel,
    mark_for,
    retry,
    state_of,
)
from tests.support.flow_model import a_graph, outcomes, outcomes_after_retry, steps_of


def run(nodes: Sequence[Node], ends: Callable[[int], str], *, seed: int) -> str:
    """Let steps end in a random order, each as *ends* says; return the last marks."""
    moves = begin(nodes)
    return go_on(nodes, moves.marks, ends, seed=seed)


def go_on(nodes: Sequence[Node], marks: str, ends: Callable[[int], str], *, seed: int) -> str:
    chance = random.Random(seed)
    while running := [n for n, mark in enumerate(marks) if mark == RUNNING]:
        number = chance.choice(running)
        marks = advance(nodes, marks, number, ends(number)).marks
    return marks


@pytest.mark.parametrize(
    ("when", "before", "mark"),
    [
        ("succeeded", "ss", "r"),
        ("succeeded", "sr", "w"),
        ("succeeded", "sf", "u"),
        ("succeeded", "su", "u"),
        ("succeeded", "sx", "x"),
        ("succeeded", "fx", "u"),
        ("succeeded", "fw", "w"),
        ("failed", "ss", "x"),
        ("failed", "sf", "r"),
        ("failed", "su", "r"),
        ("failed", "sx", "x"),
        ("failed", "fr", "w"),
        ("ended", "fu", "r"),
        ("ended", "xx", "r"),
        ("ended", "sw", "w"),
    ],
)
def test_a_step_runs_when_those_before_it_have_ended_as_it_wants(
    when: When, before: str, mark: str
) -> None:
    node = Node(name="n", when=when, after=(0, 1))
    assert mark_for(node, before) == mark


def test_a_new_flow_begins_with_the_steps_that_wait_for_none() -> None:
    nodes = steps_of([("succeeded", ()), ("succeeded", ()), ("succeeded", (0, 1))])
    assert begin(nodes) == ("rrw", (0, 1))


def test_all_that_follows_a_failure_ends_with_it() -> None:
    nodes = steps_of([("succeeded", ()), *[("succeeded", (n,)) for n in range(4)]])
    assert advance(nodes, "rwwww", 0, FAILED) == ("fuuuu", ())


@pytest.mark.parametrize(
    ("marks", "state"),
    [("ssr", "running"), ("ssw", "running"), ("ssx", "succeeded"), ("sfr", "running"),
     ("sfu", "failed"), ("x", "succeeded")],
)  # fmt: skip
def test_a_flow_has_failed_if_a_step_has(marks: str, state: str) -> None:
    assert state_of(marks) == state


def test_a_cancelled_flow_waits_for_nothing_but_its_running_tasks() -> None:
    task, gate = Node(name="t", type="t"), Node(name="g")
    assert cancel([task, task, gate, gate, task], "srrwf") == ("srxxf", ())


def test_a_retry_repeats_what_failed_and_what_was_left_out() -> None:
    nodes = steps_of(
        [("succeeded", ()), ("succeeded", (0,)), ("failed", (0,)), ("succeeded", (1,))]
    )
    assert retry(nodes, "fusu", was_cancelled=False) == ("rwsw", (0,))


def test_a_retry_of_a_cancelled_flow_repeats_what_was_skipped() -> None:
    nodes = steps_of([("succeeded", ()), ("succeeded", (0,))])
    assert retry(nodes, "sx", was_cancelled=True) == ("sr", (1,))
    assert retry(nodes, "sx", was_cancelled=False) == ("sx", ())


@given(st.integers(0, 10**9))
def test_any_flow_ends_as_the_model_says_in_whatever_order_steps_end(seed: int) -> None:
    graph = a_graph(random.Random(seed))
    ends = dict(enumerate(graph.ends))
    marks = run(steps_of(graph.steps), lambda number: ends[number], seed=seed)
    assert marks == outcomes(graph)


@given(st.integers(0, 10**9))
def test_any_flow_that_is_retried_ends_as_the_model_says(seed: int) -> None:
    graph = a_graph(random.Random(seed))
    nodes, ends = steps_of(graph.steps), dict(enumerate(graph.ends))
    failed = run(nodes, lambda number: ends[number], seed=seed)
    again = retry(nodes, failed, was_cancelled=False)
    marks = go_on(nodes, again.marks, lambda _number: SUCCEEDED, seed=seed)
    assert marks == outcomes_after_retry(graph)
    assert UPSTREAM_FAILED not in marks
    assert {SUCCEEDED, SKIPPED} >= {*marks}
