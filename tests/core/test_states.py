"""States have asynq's names, and each state can be entered and left."""

from pyasynq.core.states import ALLOWED_STATES, MOVES, Action, TaskState

STATES = set(TaskState)


def test_the_words_are_those_of_the_protocol() -> None:
    assert {
        "active",
        "pending",
        "scheduled",
        "retry",
        "archived",
        "completed",
        "aggregating",
    } == STATES


def test_every_state_can_be_left() -> None:
    assert {state for state in STATES if MOVES[state]} == STATES


def test_every_state_can_be_entered() -> None:
    entered = frozenset[TaskState | None]().union(*MOVES.values())
    assert entered - {None} == STATES


def test_a_task_comes_from_nowhere_and_goes_to_nowhere() -> None:
    assert None in MOVES
    assert {state for state, nexts in MOVES.items() if None in nexts} == {
        TaskState.ACTIVE,
        TaskState.AGGREGATING,
        TaskState.COMPLETED,
        TaskState.ARCHIVED,
    }


def test_only_a_pending_task_becomes_active() -> None:
    assert [state for state, nexts in MOVES.items() if TaskState.ACTIVE in nexts] == [
        TaskState.PENDING
    ]


def test_a_task_that_waits_is_not_lost() -> None:
    waiting = {TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRY}
    assert [state for state in waiting if None in MOVES[state]] == []


def test_every_action_is_allowed_in_some_state_and_never_for_a_running_task() -> None:
    assert set(ALLOWED_STATES) == set(Action)
    assert all(ALLOWED_STATES.values())
    assert TaskState.ACTIVE not in frozenset[TaskState]().union(*ALLOWED_STATES.values())


def test_no_action_moves_a_task_to_its_own_state() -> None:
    assert TaskState.PENDING not in ALLOWED_STATES[Action.RUN]
    assert TaskState.ARCHIVED not in ALLOWED_STATES[Action.ARCHIVE]
