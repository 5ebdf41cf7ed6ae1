"""What follows when a run of a task has ended.

Pure: `event_of` names what a verdict means for the task, `outcome_of` describes it, and
`options_after` makes the options of a task that follows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from pyasynq.core.control import DeadlinePassedError, Snooze
from pyasynq.core.message import TaskMessage, instant
from pyasynq.core.options import Options
from pyasynq.core.outcome import Event, Outcome
from pyasynq.core.report import Entry
from pyasynq.core.task import Task
from pyasynq.core.verdict import Archive, Complete, Done, Requeue, Retry, Verdict, decisive_error

OWN_HEADERS: Final = "pyasynq:"
"""Start of the names of headers that say something about the one message that has them."""


def event_of(message: TaskMessage, verdict: Verdict, error: Exception | None) -> Event | None:
    """Return what *verdict* means for the task after a run by a worker.

    None if the run does not count: the task was put back or off, or cannot be read.

    Args:
        message: The task that ran.
        verdict: The verdict on it.
        error: Why the run failed; None if it succeeded.
    """
    match verdict:
        case Complete():
            return "succeeded"
        case Done():
            return "succeeded" if error is None else "revoked"
        case Archive(message=None) | Requeue() | Retry(unknown=True):
            return None
        case Archive():
            expired = error is not None and isinstance(
                decisive_error(message.type, error), DeadlinePassedError
            )
            return "expired" if expired else "archived"
        case Retry():
            snoozed = error is not None and isinstance(decisive_error(message.type, error), Snooze)
            return None if snoozed else "retried"


def recovery_of(verdict: Verdict) -> Event | None:
    """Return what *verdict* means for a task whose worker is gone; None if it cannot be read."""
    if isinstance(verdict, Archive):
        return None if verdict.message is None else "archived"
    return "recovered"


def outcome_of(
    message: TaskMessage,
    verdict: Verdict,
    event: Event,
    *,
    payload: bytes | None,
    taken_at_s: float | None,
    now: datetime,
) -> Outcome:
    """Describe the end of a run.

    Args:
        message: The task that ran.
        verdict: The verdict on it; its message has the error.
        event: What the verdict means.
        payload: The opened payload; None if it cannot be opened.
        taken_at_s: When the worker took the task, Unix seconds; None if it is not known.
        now: Current time, UTC.
    """
    told = verdict.message if isinstance(verdict, Archive | Retry) and verdict.message else message
    return Outcome(
        id=message.id,
        queue=message.queue,
        type=message.type,
        payload=payload,
        outcome=event,
        error=None if event == "succeeded" else told.error_msg or None,
        retried=told.retried,
        max_retry=message.retry,
        taken_at=None if taken_at_s is None else instant(taken_at_s),
        ended_at=now,
    )


def options_after(headers: Mapping[str, str], task: Task) -> Options:
    """Return the options of *task*, which follows a task with *headers*: they travel on."""
    passed_on = {name: text for name, text in headers.items() if not name.startswith(OWN_HEADERS)}
    if not passed_on:
        return task.options
    merged = {**passed_on, **task.headers, **task.options.headers}
    return msgspec.structs.replace(task.options, headers=merged)


def follow_up(verdict: Verdict, *, then: tuple[Entry, ...], outcome: Outcome | None) -> Verdict:
    """Return *verdict* with what comes after it."""
    return msgspec.structs.replace(verdict, then=then, outcome=outcome)
