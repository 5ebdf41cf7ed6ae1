"""Decide what becomes of a task once its handler has ended.

Pure: `decide` turns what happened into a `Verdict`; the broker has one script for each verdict.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar, cast

import msgspec

from pyasynq.core.control import (
    DeadlinePassedError,
    LeaseExpiredError,
    PayloadError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    Snooze,
    WorkerCrashedError,
)
from pyasynq.core.message import TaskMessage, with_outcome
from pyasynq.core.options import LATEST, LONGEST

E = TypeVar("E", bound=BaseException)


class Done(msgspec.Struct, frozen=True):
    """Delete the task."""


class Complete(msgspec.Struct, frozen=True, kw_only=True):
    """Keep the task until *expires_at*."""

    message: TaskMessage
    expires_at: datetime


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Try the task again at *at*.

    Attributes:
        message: The task.
        at: When.
        failed: Whether it counts as a failure.
        crashes: Workers that died with the task, in a row; 0 once it has ended by itself.
        unknown: No worker that took the task could run it: its type has no handler there, or it
            cannot be opened.
    """

    message: TaskMessage
    at: datetime
    failed: bool
    crashes: int = 0
    unknown: bool = False


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

FIRST_UNKNOWN_S: Final = 5
MOST_UNKNOWN_S: Final = 5 * 60
"""Shortest and longest wait of a task that a worker cannot run; it doubles."""

LONGEST_UNKNOWN_S: Final = 24 * 60 * 60
"""How long such a task is kept for a worker that can."""

FINAL: Final = 1
"""Rank of the errors after which a task is given up."""

MOST_IN_GROUP: Final = 10
"""Errors of a group that its text names."""

LONGEST_IN_GROUP: Final = 500
"""Characters of each of them."""

SAYS_NOTHING: Final = ("unhandled errors in a TaskGroup", "Exceptions from Trio nursery")
"""What groups say that asyncio, anyio and Trio made."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The two questions a user may answer.

    Attributes:
        delay: Wait before the next try, from the retries already spent, the error and the message.
        is_failure: False for errors that must not spend a retry.
    """

    delay: Callable[[int, Exception, TaskMessage], timedelta]
    is_failure: Callable[[Exception], bool]


def decide(
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
    if error is None:
        if message.retention <= 0:
            return DONE
        kept = timedelta(seconds=min(message.retention, LONGEST_S))
        return Complete(
            message=with_outcome(message, completed_at=now), expires_at=_after(now, kept)
        )
    match decisive(message.type, error):
        case RevokeTask():
            return DONE
        case Snooze(delay=delay):
            return Retry(message=message, at=_after(now, delay), failed=False)
        case _:
            return _failed(message, error, now=now, policy=policy)


def decide_lost(
    message: TaskMessage, *, crashes: int, most: int, now: datetime, policy: RetryPolicy
) -> Retry | Archive:
    """Return what becomes of *message*, whose worker is gone and has begun to run it.

    Args:
        message: The task that was running.
        crashes: Workers that are gone with it, in a row; the delay keeps those apart that were
            together in the second of them.
        most: How many of them the task may have.
        now: Current time, UTC.
        policy: Delay from the second crash on; the first was the lease's end.

    Source:
        Protocol section 6.9 (asynq v0.26.0 ``recoverer.recoverLeaseExpiredTasks``).

    Differs:
        There a task may crash as many workers as it has retries, and takes others with it (D66).
    """
    lost = LeaseExpiredError()
    given_up = crashes >= most
    if given_up or message.retried >= message.retry:
        error = WorkerCrashedError(crashes) if given_up else lost
        return Archive(message=with_outcome(message, error=error_text(error), failed_at=now))
    delay = policy.delay(message.retried, lost, message) if crashes > 1 else timedelta(0)
    return Retry(
        message=with_outcome(
            message, retried=message.retried + 1, error=error_text(lost), failed_at=now
        ),
        at=_after(now, delay),
        failed=True,
        crashes=crashes,
    )


def decide_unknown(
    message: TaskMessage,
    error: Exception,
    unknown_s: int,
    *,
    crashes: int,
    now: datetime,
    lot: float,
) -> Retry | Archive:
    """Return what becomes of *message*, whose type has no handler where it was taken.

    Args:
        message: The task.
        error: What operators read.
        unknown_s: Seconds since it first found such a worker, and no other has run it since.
        crashes: Workers that died with it, in a row; nothing has run it now that could end that.
        now: Current time, UTC.
        lot: From 0 to 1; keeps tasks apart that were put back together.
    """
    now_s, deadline_s = now.timestamp(), message.deadline or math.inf
    message = with_outcome(message, error=error_text(error), failed_at=now)
    if unknown_s >= LONGEST_UNKNOWN_S or deadline_s <= now_s:
        return Archive(message=message)
    wait_s = min(max(unknown_s, FIRST_UNKNOWN_S), MOST_UNKNOWN_S) * (1 - lot / 5)
    at = now + timedelta(seconds=min(wait_s, deadline_s - now_s))
    return Retry(message=message, at=at, failed=False, crashes=crashes, unknown=True)


def is_suspect(message: TaskMessage, *, crashes: int, most: int) -> bool:
    """Return whether one more crash gives *message* up, after *crashes* in a row."""
    return crashes > 0 and (crashes >= most - 1 or message.retried >= message.retry)


def _failed(
    message: TaskMessage, error: Exception, *, now: datetime, policy: RetryPolicy
) -> Retry | Archive:
    text = error_text(error)
    if is_final(message.type, error) or message.retried >= message.retry:
        return Archive(message=with_outcome(message, error=text, failed_at=now))
    failures = [one for one in errors_in(error) if not isinstance(one, Snooze)]
    failed = any(policy.is_failure(one) for one in failures)
    retried = message.retried + 1 if failed else message.retried
    delay = max(_delay(message, one, policy) for one in _strongest(message.type, failures))
    return Retry(
        message=with_outcome(message, retried=retried, error=text, failed_at=now),
        at=_after(now, delay),
        failed=failed,
    )


def _delay(message: TaskMessage, error: Exception, policy: RetryPolicy) -> timedelta:
    if isinstance(error, RetryIn):
        return error.delay
    return policy.delay(message.retried, error, message)


def _after(now: datetime, delay: timedelta) -> datetime:
    """Return *now* plus a delay that others chose, but no later than the calendar goes."""
    return now + min(delay, LATEST - now)


def errors_in(error: E) -> Sequence[E]:
    """Return the errors that *error* consists of: itself, or what a group and its groups hold."""
    found: list[E] = []
    left = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseExceptionGroup):
            left += reversed(cast("Sequence[E]", one.exceptions))
        else:
            found.append(one)
    return found


def decisive(type: str, error: Exception) -> Exception:
    """Return what decides about a task of *type*: *error*, or of a group the strongest error in it.

    A signal in a group means what it means alone, as with Go's ``errors.Join``. `RevokeTask` comes
    before `SkipRetry`, as there; a failure comes before `Snooze`, or a task that never works would
    come back for ever. Of equals the first counts, or the one with the longest delay.
    """
    return max(_strongest(type, errors_in(error)), key=_chosen_delay)


def is_final(type: str, error: Exception) -> bool:
    """Return whether *error* says that no retry of a task of *type* can help."""
    return _rank(type, decisive(type, error)) == FINAL


def _strongest(type: str, errors: Sequence[Exception]) -> Sequence[Exception]:
    first = min(_rank(type, error) for error in errors)
    return [error for error in errors if _rank(type, error) == first]


def _chosen_delay(error: Exception) -> timedelta:
    return error.delay if isinstance(error, RetryIn | Snooze) else timedelta(0)


def _rank(type: str, error: Exception) -> int:
    """Return 0 for errors that decide before all others."""
    match error:
        case RevokeTask():
            return 0
        case SkipRetry() | DeadlinePassedError():
            return FINAL
        case PayloadError() if error.type == type:  # else it is about a task that this one makes
            return FINAL
        case RetryIn():
            return 2
        case Snooze():
            return 4
        case _:
            return 3


def error_text(error: BaseException) -> str:
    """Return what operators read as the task's last error.

    Of a group, what is in it, each with its type and in brackets; equal ones once.

    Differs:
        Go's errors carry their context in their text; Python's often do not, so the type is named,
        except for our own errors and signals, whose text is complete.
    """
    if isinstance(error, ExceptionGroup):
        return _group_text(cast("ExceptionGroup[Exception]", error))
    if type(error).__module__.startswith("pyasynq.core.") and (text := _text(error)):
        return text
    return _named(error)


def _named(error: BaseException) -> str:
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _group_text(group: ExceptionGroup[Exception]) -> str:
    errors = errors_in(group)
    about = "" if group.message in SAYS_NOTHING else f"{group.message[:LONGEST_IN_GROUP]}: "
    if len(errors) == 1:
        return f"{about}{error_text(errors[0])[:LONGEST_IN_GROUP]}"
    texts = list(dict.fromkeys(_named(error) for error in errors))
    shown = [f"({text[:LONGEST_IN_GROUP]})" for text in texts[:MOST_IN_GROUP]]
    if len(texts) > MOST_IN_GROUP:
        shown.append(f"and {len(texts) - MOST_IN_GROUP} more")
    return f"{about}{len(errors)} errors: {', '.join(shown)}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - the user's code, and exit() must not end the worker
        return "it cannot say what it is"
