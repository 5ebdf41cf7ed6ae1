"""What a verdict means for a task, and what those get to know who follow up on it."""

from datetime import UTC, datetime, timedelta

import pytest

from pyasynq.core.continuation import event_of, options_after, outcome_of, recovery_of
from pyasynq.core.control import DeadlinePassedError, RetryIn, RevokeTask, SkipRetry, Snooze
from pyasynq.core.message import TaskMessage, with_outcome
from pyasynq.core.outcome import Event
from pyasynq.core.task import Task
from pyasynq.core.verdict import (
    ARCHIVE_AS_IT_IS,
    DONE,
    REQUEUE,
    Archive,
    Complete,
    Retry,
    Verdict,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MESSAGE = TaskMessage(id="1", queue="q", type="t", payload=b"p", retry=3, retried=1)
FAILED = with_outcome(MESSAGE, retried=2, error="boom", failed_at=NOW)
BOOM = ValueError("boom")

COMPLETE = Complete(message=MESSAGE, expires_at=NOW)
RETRY = Retry(message=FAILED, at=NOW, failed=True)
UNKNOWN = Retry(message=FAILED, at=NOW, failed=False, unknown=True)
ARCHIVE = Archive(message=FAILED)


@pytest.mark.parametrize(
    ("verdict", "error", "event"),
    [
        (DONE, None, "succeeded"),
        (COMPLETE, None, "succeeded"),
        (DONE, RevokeTask(), "revoked"),
        (ARCHIVE, BOOM, "archived"),
        (ARCHIVE, SkipRetry(), "archived"),
        (ARCHIVE, DeadlinePassedError(NOW), "expired"),
        (RETRY, BOOM, "retried"),
        (RETRY, RetryIn(timedelta(1)), "retried"),
        (RETRY, Snooze(timedelta(1)), None),
        (RETRY, ExceptionGroup("both", [BOOM, Snooze(timedelta(1))]), "retried"),
        (UNKNOWN, BOOM, None),
        (ARCHIVE_AS_IT_IS, None, None),
        (REQUEUE, None, None),
    ],
)
def test_the_verdict_and_the_error_tell_what_happened(
    verdict: Verdict, error: Exception | None, event: Event | None
) -> None:
    assert event_of(MESSAGE, verdict, error) == event


@pytest.mark.parametrize(
    ("verdict", "event"),
    [
        (RETRY, "recovered"),
        (REQUEUE, "recovered"),
        (ARCHIVE, "archived"),
        (ARCHIVE_AS_IT_IS, None),
    ],
)
def test_a_task_whose_worker_is_gone_was_recovered_or_archived(
    verdict: Verdict, event: Event | None
) -> None:
    assert recovery_of(verdict) == event


def test_an_outcome_tells_what_became_of_a_failed_task() -> None:
    outcome = outcome_of(MESSAGE, ARCHIVE, "archived", payload=b"p", taken_at_s=60, now=NOW)
    assert (outcome.id, outcome.queue, outcome.type, outcome.payload) == ("1", "q", "t", b"p")
    assert (outcome.outcome, outcome.error, outcome.retried) == ("archived", "boom", 2)
    assert (outcome.max_retry, outcome.ended_at) == (3, NOW)
    assert outcome.taken_at == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


def test_a_success_after_a_failure_has_no_error() -> None:
    outcome = outcome_of(FAILED, DONE, "succeeded", payload=b"", taken_at_s=None, now=NOW)
    assert (outcome.error, outcome.retried, outcome.taken_at) == (None, 2, None)


def test_an_outcome_shows_no_payload() -> None:
    outcome = outcome_of(MESSAGE, DONE, "succeeded", payload=b"secret", taken_at_s=None, now=NOW)
    assert repr(outcome) == "<Outcome succeeded of 't' 1 in 'q'>"


def test_headers_travel_on_but_not_those_about_one_message() -> None:
    headers = {"trace": "1", "kind": "a", "pyasynq:codec": "zstd"}
    task = Task("t", headers={"kind": "b"})
    assert options_after(headers, task).headers == {"trace": "1", "kind": "b"}


def test_without_headers_the_options_stay_as_they_are() -> None:
    task = Task("t", headers={"kind": "b"})
    assert options_after({"pyasynq:codec": "zstd"}, task) is task.options
