"""Every error says what happened and to what, has both as attributes, and is in one tree."""

import inspect
import re
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq.core import (
    batch_errors,
    control,
    entry_errors,
    errors,
    extension_errors,
    flow_errors,
)
from pyasynq.core.control import (
    DeadlinePassedError,
    HandlerNotFoundError,
    LeaseExpiredError,
    PayloadError,
    ResultError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    Snooze,
    TaskCanceledError,
    TaskTimeoutError,
    WorkerCrashedError,
)
from pyasynq.core.errors import (
    BrokerError,
    DuplicateTaskError,
    OptionError,
    PoisonError,
    PyasynqError,
    QueueActiveError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueNotPausedError,
    QueuePausedError,
    ResultExpiredError,
    ServerStateError,
    TaskFailedError,
    TaskIDConflictError,
    TaskNotFoundError,
    TaskStateError,
)

SIGNALS = {SkipRetry, RevokeTask, RetryIn, Snooze}
EXCEPTIONS = {
    value
    for module in (errors, control, batch_errors, entry_errors, extension_errors, flow_errors)
    for name, value in inspect.getmembers(module, inspect.isclass)
    if issubclass(value, Exception) and value.__module__ == module.__name__ and name[0] != "_"
}


def test_every_error_stands_under_one_root() -> None:
    assert {error for error in EXCEPTIONS if issubclass(error, PyasynqError)} == (
        EXCEPTIONS - SIGNALS
    )


def test_the_tree_drawn_at_the_top_names_every_error_and_signal() -> None:
    drawn = set(
        re.findall(r"\b(\w+Error|SkipRetry|RevokeTask|RetryIn|Snooze)\b", str(errors.__doc__))
    )
    assert drawn - {"ValueError", "TimeoutError"} == {error.__name__ for error in EXCEPTIONS}


def test_an_option_error_is_a_value_error_as_well() -> None:
    assert issubclass(OptionError, ValueError)


def test_an_option_error_keeps_the_option_the_value_and_what_is_allowed() -> None:
    error = OptionError("queue", 5, "text")
    assert (error.option, error.value, error.allowed) == ("queue", 5, "text")


def test_an_option_error_bears_a_value_that_cannot_be_shown() -> None:
    class Hidden:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert str(OptionError("queue", Hidden(), "text")) == (
        "queue must be text, got a Hidden that cannot be shown"
    )


def test_an_option_error_says_what_was_given_and_what_would_be_right() -> None:
    assert str(OptionError("queue", 5, "text")) == "queue must be text, got 5"


def test_an_option_error_cuts_a_long_value() -> None:
    text = str(OptionError("queue", "x" * 1000, "short"))
    assert text.endswith("xxx…")
    assert len(text) < 120


@pytest.mark.parametrize(
    ("error", "data", "text"),
    [
        (
            DuplicateTaskError("q", "t"),
            {"queue": "q", "type": "t"},
            "task already exists: a unique 't' with this payload is in 'q'",
        ),
        (
            TaskIDConflictError("q", "7"),
            {"queue": "q", "task_id": "7"},
            "task ID conflicts with another task: '7' is in 'q'",
        ),
        (PoisonError(3), {"size": 3}, "undecodable message of 3 bytes"),
        (
            ServerStateError("closed"),
            {"state": "closed"},
            "a server runs once; this one is closed: make a new Server",
        ),
        (HandlerNotFoundError("t"), {"type": "t"}, 'handler not found for task "t"'),
        (
            PayloadError("t", "no `id`"),
            {"type": "t", "reason": "no `id`"},
            "payload of 't' does not fit: no `id`",
        ),
        (QueueNotFoundError("q"), {"queue": "q"}, "queue not found: 'q'"),
        (
            QueueNotEmptyError("q"),
            {"queue": "q"},
            "queue is not empty: 'q'; force also deletes its tasks, unless producers add more",
        ),
        (
            QueueActiveError("q"),
            {"queue": "q"},
            "cannot remove queue with active tasks: 'q'; let them end first",
        ),
        (QueuePausedError("q"), {"queue": "q"}, "queue 'q' is already paused"),
        (QueueNotPausedError("q"), {"queue": "q"}, "queue 'q' is not paused"),
        (
            TaskNotFoundError("q", "7"),
            {"queue": "q", "task_id": "7"},
            "task not found: '7' is not in 'q'",
        ),
        (
            ResultExpiredError("q", "7"),
            {"queue": "q", "task_id": "7"},
            "no result: '7' is not, or no longer, in 'q'; retention keeps it longer",
        ),
        (
            TaskStateError("q", "7", "active", "delete"),
            {"queue": "q", "task_id": "7", "state": "active", "order": "delete"},
            "cannot delete task '7' in 'q': it is active; cancel it first",
        ),
        (
            TaskFailedError("q", "7", "boom"),
            {"queue": "q", "task_id": "7", "last_error": "boom"},
            "task '7' in 'q' failed: boom",
        ),
        (
            ResultError("7"),
            {"task_id": "7"},
            "failed to write task result: '7' is no longer ours",
        ),
        (TaskTimeoutError(), {}, "context deadline exceeded"),
        (
            DeadlinePassedError(datetime(2026, 11, 26, tzinfo=UTC)),
            {"deadline": datetime(2026, 11, 26, tzinfo=UTC)},
            "context deadline exceeded before the task began: it was to end by "
            "2026-11-26 00:00:00 UTC",
        ),
        (TaskCanceledError(), {}, "context canceled"),
        (LeaseExpiredError(), {}, "asynq: task lease expired"),
        (WorkerCrashedError(3), {"crashes": 3}, "crashed its worker 3 times in a row"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_builds_its_text_and_keeps_its_data(
    error: PyasynqError, data: dict[str, object], text: str
) -> None:
    assert (vars(error), str(error)) == (data, text)


def test_a_broker_error_carries_the_words_it_is_given() -> None:
    assert str(BrokerError("Redis: no")) == "Redis: no"


def test_a_retry_signal_without_reason_tells_its_delay() -> None:
    signal = RetryIn(timedelta(minutes=1))
    assert (signal.delay, str(signal)) == (timedelta(minutes=1), "retry in 0:01:00")


def test_a_retry_signal_carries_its_reason() -> None:
    assert str(RetryIn(timedelta(minutes=1), "rate limit")) == "rate limit"


def test_a_snooze_signal_carries_its_delay() -> None:
    signal = Snooze(timedelta(minutes=1))
    assert (signal.delay, str(signal)) == (timedelta(minutes=1), "snoozed for 0:01:00")


@pytest.mark.parametrize("signal", [SkipRetry, RevokeTask, RetryIn, Snooze])
def test_a_signal_is_no_error_of_ours(signal: type[Exception]) -> None:
    assert not issubclass(signal, PyasynqError)


@pytest.mark.parametrize("signal", [RetryIn, Snooze])
def test_a_delay_that_is_no_timedelta_is_refused(signal: type[RetryIn] | type[Snooze]) -> None:
    text = r"must be a timedelta, timedelta\(seconds=5\) for instance, got 5"
    with pytest.raises(TypeError, match=text):
        signal(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("signal", [RetryIn, Snooze])
def test_a_negative_delay_is_none(signal: type[RetryIn] | type[Snooze]) -> None:
    assert signal(timedelta.min).delay == timedelta(0)


def test_a_task_that_failed_without_error_was_archived() -> None:
    assert str(TaskFailedError("q", "7", None)) == "task '7' in 'q' failed: it was archived"
