"""Decide what becomes of a task once its handler has ended.

Pure: `settle` turns what happened into a `Verdict`; the broker has one script for each verdict.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from pyasynq.errors import PayloadError, RetryIn, RevokeTask, SkipRetry, Snooze
from pyasynq.message import TaskMessage, revised
from pyasynq.options import LATEST, LONGEST


class Done(msgspec.Struct, frozen=True):
    """Delete the task."""


class Complete(msgspec.Struct, frozen=True, kw_only=True):
    """Keep the task until *expires_at*."""

    message: TaskMessage
    expires_at: datetime


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Try the task again at *at*; *failed* says whether it counts as a failure."""

    message: TaskMessage
    at: datetime
    failed: bool


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """Give the task up and keep it for inspection; without a message the stored one stays."""

    message: TaskMessage | None


class Requeue(msgspec.Struct, frozen=True):
    """Put the task back at the head of its queue, as if it had not been taken."""


Verdict: TypeAlias = Done | Complete | Retry | Archive | Requeue

DONE = Done()
REQUEUE = Requeue()
ARCHIVE_AS_IT_IS = Archive(message=None)

LONGEST_S = int(LONGEST.total_seconds())


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The two questions a user may answer.

    Attributes:
        delay: Wait before the next try, from the retries already spent, the error and the message.
        is_failure: False for errors that must not spend a retry.
    """

    delay: Callable[[int, Exception, TaskMessage], timedelta]
    is_failure: Callable[[Exception], bool]


def settle(
    message: TaskMessage, error: Exception | None, *, now: datetime, policy: RetryPolicy
) -> Verdict:
    """Return what becomes of *message*.

    Args:
        message: The task that ran.
        error: What the handler raised, or None when it succeeded.
        now: Current time, UTC.
        policy: Delay and kind of a failure.

    Source:
        Protocol section 6.5 (asynq v0.26.0 ``processor.handleSucceededMessage``,
        ``handleFailedMessage``). Exhaustion is tested before `RetryPolicy.is_failure`, as there.
    """
    match error:
        case None if message.retention <= 0:
            return DONE
        case None:
            kept = timedelta(seconds=min(message.retention, LONGEST_S))
            done = revised(message, completed_at=now)
            return Complete(message=done, expires_at=_after(now, kept))
        case RevokeTask():
            return DONE
        case Snooze(delay=delay):
            return Retry(message=message, at=_after(now, delay), failed=False)
        case _:
            return _failed(message, error, now=now, policy=policy)


def _failed(
    message: TaskMessage, error: Exception, *, now: datetime, policy: RetryPolicy
) -> Retry | Archive:
    text = error_text(error)
    if isinstance(error, SkipRetry | PayloadError) or message.retried >= message.retry:
        return Archive(message=revised(message, error=text, failed_at=now))
    failed = policy.is_failure(error)
    retried = message.retried + 1 if failed else message.retried
    return Retry(
        message=revised(message, retried=retried, error=text, failed_at=now),
        at=_after(now, _delay(message, error, policy)),
        failed=failed,
    )


def _delay(message: TaskMessage, error: Exception, policy: RetryPolicy) -> timedelta:
    if isinstance(error, RetryIn):
        return error.delay
    return policy.delay(message.retried, error, message)


def _after(now: datetime, delay: timedelta) -> datetime:
    """Return *now* plus a delay that others chose, but no later than the calendar goes."""
    return now + min(delay, LATEST - now)


def error_text(error: BaseException) -> str:
    """Return what operators read as the task's last error.

    Differs:
        Go's errors carry their context in their text; Python's often do not, so the type is named,
        except for our own errors and signals, whose text is complete.
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text is the user's code
        text = "it cannot say what it is"
    if type(error).__module__ == "pyasynq.errors" and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
