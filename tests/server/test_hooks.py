"""Hooks are found by outcome and type, and wrong ones are refused when they are declared."""

from typing import Any

import pytest

from pyasynq import Hooks, OptionError, Outcome, Server, Task
from pyasynq.core.outcome import Ending


def follow(outcome: Outcome) -> Task:
    return Task("follower")


def note(outcome: Outcome) -> None:
    pass


def test_without_hooks_there_are_none() -> None:
    hooks = Hooks()
    assert not hooks.exist
    assert (hooks.makers("succeeded", "t"), hooks.functions("succeeded", "t")) == ([], [])


def test_what_follows_is_found_by_outcome_and_the_start_of_the_type() -> None:
    hooks = Hooks()
    hooks.when("archived", "mail:", follow)
    assert hooks.exist
    assert hooks.makers("archived", "mail:send") == [follow]
    assert hooks.makers("archived", "e-mail:send") == []
    assert hooks.makers("succeeded", "mail:send") == []


def test_what_follows_may_be_for_one_type_alone() -> None:
    hooks = Hooks()
    hooks.when("succeeded", "pay", follow, exact=True)
    assert hooks.makers("succeeded", "pay") == [follow]
    assert hooks.makers("succeeded", "payroll") == []


def test_functions_are_found_by_event_and_the_start_of_the_type() -> None:
    hooks = Hooks()
    hooks.on("retried", "mail:")(note)
    hooks.on("retried")(note)
    assert hooks.exist
    assert hooks.functions("retried", "mail:send") == [note, note]
    assert hooks.functions("retried", "t") == [note]
    assert hooks.functions("archived", "t") == []


@pytest.mark.parametrize("outcome", ["retried", "done", None])
def test_a_task_follows_final_outcomes_only(outcome: Ending) -> None:
    with pytest.raises(OptionError, match="'succeeded' or 'archived' or 'expired' or 'revoked'"):
        Hooks().when(outcome, "", follow)


def test_an_event_that_there_is_not_is_refused() -> None:
    event: Any = "done"
    with pytest.raises(OptionError, match="or 'retried' or 'recovered'"):
        Hooks().on(event)


def test_a_prefix_must_be_a_text() -> None:
    prefix: Any = None
    with pytest.raises(OptionError, match="the start of a task type"):
        Hooks().when("archived", prefix, follow)
    with pytest.raises(OptionError, match="the start of a task type"):
        Hooks().on("archived", prefix)


def test_a_function_that_takes_no_outcome_is_refused() -> None:
    function: Any = lambda: None  # noqa: E731 - the mistake
    with pytest.raises(TypeError, match=r"is called with \(outcome\)"):
        Hooks().on("archived")(function)
    with pytest.raises(TypeError, match=r"is called with \(outcome\)"):
        Hooks().when("archived", "", function)


def test_a_server_takes_hooks_and_nothing_else() -> None:
    hooks: Any = [note]
    with pytest.raises(OptionError, match="a Hooks"):
        Server("redis://127.0.0.1:1", hooks=hooks)
