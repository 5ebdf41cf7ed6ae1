"""Decide what happens to a task after its handler has ended.

Pure: `decide` turns the outcome of a run into a `Verdict`; the broker has one script for each kind.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar, cast

import msgspec

from pyasynq.core.attempts import AttemptRecord
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
from pyasynq.core.outcome import Outcome
from pyasynq.core.report import Entry

E = TypeVar("E", bound=BaseException)


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """What comes after a verdict is written.

    Attributes:
        then: New tasks and reports. The broker carries them out in the step that writes the
            verdict, and only if the lease is still held. Only one that ends the task has some.
        outcome: What the worker's own hooks get once it is written; None if there are none.
    """

    then: tuple[Entry, ...] = ()
    outcome: Outcome | None = None


class Done(Followed, frozen=True, kw_only=True):
    """Delete the task."""


class Complete(Followed, frozen=True, kw_only=True):
    """Keep the task until *expires_at*."""

    message: TaskMessage
    expires_at: datetime


class Retry(Followed, frozen=True, kw_only=True):
    """Try the task again at *at*.

    Attributes:
        message: The task.
        at: When the task runs again.
        failed: Whether the run counts as a failure.
        crashes: Workers in a row that died while they ran the task; 0 after a run that ended.
        unknown: Whether no worker that took the task could run it, because its type has no handler
            there, or it cannot be opened.
        attempt: The try that failed, to be kept with the task; else None.
    """

    message: TaskMessage
    at: datetime
    failed: bool
    crashes: int = 0
    unknown: bool = False
    attempt: AttemptRecord | None = None


class Archive(Followed, frozen=True, kw_only=True):
    """Archive the task.

    Attributes:
        message: The task; None if the stored message stays.
        attempt: The try that failed, to be kept with the task; else None.
    """

    message: TaskMessage | None
    attempt: AttemptRecord | None = None


class Requeue(Followed, frozen=True, kw_only=True):
    """Put the task back at the head of its queue, as if no worker had taken it."""


Verdict: TypeAlias = Done | Complete | Retry | Archive | Requeue

DONE = Done()
REQUEUE = Requeue()
ARCHIVE_AS_IT_IS = Archive(message=None)

LONGEST_S = int(LONGEST.total_seconds())

FIRST_UNKNOWN_S: Final = 5
MOST_UNKNOWN_S: Final = 5 * 60
"""Shortest and longest wait of a task that the worker cannot run; the wait doubles."""

LONGEST_UNKNOWN_S: Final = 24 * 60 * 60
"""Seconds for which such a task waits for a worker that can run it."""

FINAL: Final = 1
"""Rank of the errors after which a task is archived."""

MOST_IN_GROUP: Final = 10
"""Errors of an exception group that its text names."""

LONGEST_IN_GROUP: Final = 500
"""Characters of each of these errors."""

GENERIC_GROUP_TEXTS: Final = ("unhandled errors in a TaskGroup", "Exceptions from Trio nursery")
"""Messages of the exception groups that asyncio, anyio and Trio make."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The functions of the user that decide about failures, and what is stored of them.

    Attributes:
        delay: Returns the wait before the next try; gets the retries already spent, the error and
            the message.
        is_failure: Returns False for errors that must not spend a retry.
        text: Returns what operators read as the task's last error.
    """

    delay: Callable[[int, Exception, TaskMessage], timedelta]
    is_failure: Callable[[Exception], bool]
    text: Callable[[Exception], str]


def decide(
    message: TaskMessage, error: Exception | None, *, now: datetime, policy: RetryPolicy
) -> Verdict:
    """Return the verdict on *message* after a run.

    Args:
        message: The task that ran.
        error: What the handler raised, or None if it succeeded.
        now: Current time, UTC.
        policy: Decides about failures.

    Source:
        Protocol section 6.5 (asynq v0.26.0 ``processor.handleSucceededMessage``,
        ``handleFailedMessage``). As there, exhausted retries archive the task before
        `RetryPolicy.is_failure` is asked.
    """
    if error is None:
        if message.retention <= 0:
            return DONE
        retention = timedelta(seconds=min(message.retention, LONGEST_S))
        return Complete(
            message=with_outcome(message, completed_at=now), expires_at=_after(now, retention)
        )
    match decisive_error(message.type, error):
        case RevokeTask():
            return DONE
        case Snooze(delay=delay):
            return Retry(message=message, at=_after(now, delay), failed=False)
        case _:
            return _decide_failure(message, error, now=now, policy=policy)


def decide_lost(
    message: TaskMessage, *, crashes: int, most: int, now: datetime, policy: RetryPolicy
) -> Retry | Archive:
    """Return the verdict on *message*, whose worker died while it ran the task.

    Args:
        message: The task that was running.
        crashes: Workers in a row that died while they ran the task.
        most: Number of crashes after which the task is archived.
        now: Current time, UTC.
        policy: Gives the delay from the second crash on, so that tasks that ran together in the
            second worker run apart next time. After the first, the lease's end was the delay.

    Source:
        Protocol section 6.9 (asynq v0.26.0 ``recoverer.recoverLeaseExpiredTasks``).

    Differs:
        There a task may crash as many workers as it has retries, together with the tasks that they
        run beside it (D66).
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
    jitter: float,
) -> Retry | Archive:
    """Return the verdict on *message*, which the worker that took it cannot run.

    Args:
        message: The task.
        error: The error that operators read.
        unknown_s: Seconds since such a worker first took the task; no other has run it since.
        crashes: Workers in a row that died while they ran the task; the number stays.
        now: Current time, UTC.
        jitter: Random number from 0 to 1, so that tasks that came together do not return together.
    """
    now_s, deadline_s = now.timestamp(), message.deadline or math.inf
    message = with_outcome(message, error=error_text(error), failed_at=now)
    if unknown_s >= LONGEST_UNKNOWN_S or deadline_s <= now_s:
        return Archive(message=message)
    wait_s = min(max(unknown_s, FIRST_UNKNOWN_S), MOST_UNKNOWN_S) * (1 - jitter / 5)
    at = now + timedelta(seconds=min(wait_s, deadline_s - now_s))
    return Retry(message=message, at=at, failed=False, crashes=crashes, unknown=True)


def is_suspect(message: TaskMessage, *, crashes: int, most: int) -> bool:
    """Return whether one more crash, after *crashes* in a row, archives *message*."""
    return crashes > 0 and (crashes >= most - 1 or message.retried >= message.retry)


def _decide_failure(
    message: TaskMessage, error: Exception, *, now: datetime, policy: RetryPolicy
) -> Retry | Archive:
    text = policy.text(error)
    if is_final(message.type, error) or message.retried >= message.retry:
        return Archive(message=with_outcome(message, error=text, failed_at=now))
    failures = [one for one in errors_in(error) if not isinstance(one, Snooze)]
    failed = any(policy.is_failure(one) for one in failures)
    retried = message.retried + 1 if failed else message.retried
    delay = max(_retry_delay(message, one, policy) for one in _strongest(message.type, failures))
    return Retry(
        message=with_outcome(message, retried=retried, error=text, failed_at=now),
        at=_after(now, delay),
        failed=failed,
    )


def _retry_delay(message: TaskMessage, error: Exception, policy: RetryPolicy) -> timedelta:
    if isinstance(error, RetryIn):
        return error.delay
    return policy.delay(message.retried, error, message)


def _after(now: datetime, delay: timedelta) -> datetime:
    """Return *now* plus *delay*, but at most `LATEST`: users choose any delay."""
    return now + min(delay, LATEST - now)


def errors_in(error: E) -> Sequence[E]:
    """Return the single errors in *error*: itself, or those in a group and its subgroups."""
    found: list[E] = []
    left = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseExceptionGroup):
            left += reversed(cast("Sequence[E]", one.exceptions))
        else:
            found.append(one)
    return found


def decisive_error(type: str, error: Exception) -> Exception:
    """Return the error that decides about a task of *type*: *error*, or the strongest in a group.

    A signal in a group means the same as alone, as with Go's ``errors.Join``. `RevokeTask` is
    stronger than `SkipRetry`, as there. A failure is stronger than `Snooze`; otherwise a task that
    never succeeds would return forever. Of equally strong errors the one with the longest delay
    decides, or else the first.
    """
    return max(_strongest(type, errors_in(error)), key=_chosen_delay)


def is_final(type: str, error: Exception) -> bool:
    """Return whether *error* says that no retry of a task of *type* can help."""
    return _rank(type, decisive_error(type, error)) == FINAL


def _strongest(type: str, errors: Sequence[Exception]) -> Sequence[Exception]:
    first = min(_rank(type, error) for error in errors)
    return [error for error in errors if _rank(type, error) == first]


def _chosen_delay(error: Exception) -> timedelta:
    return error.delay if isinstance(error, RetryIn | Snooze) else timedelta(0)


def _rank(type: str, error: Exception) -> int:
    """Return how strong *error* is: the lowest rank decides."""
    match error:
        case RevokeTask():
            return 0
        case SkipRetry() | DeadlinePassedError():
            return FINAL
        case PayloadError() if error.type == type:  # else the handler tried to make another task
            return FINAL
        case RetryIn():
            return 2
        case Snooze():
            return 4
        case _:
            return 3


def error_text(error: BaseException) -> str:
    """Return the text that operators read as the task's last error.

    The text of a group names each different error in it once, with its type and in brackets. That
    of a signal without a reason names the error from which it was raised.

    Differs:
        The text of Go's errors has their context. Python's often has not, so the type is added,
        except to errors and signals of pyasynq, whose text is complete.
    """
    if isinstance(error, ExceptionGroup):
        return _group_text(cast("ExceptionGroup[Exception]", error))
    is_ours = type(error).__module__.startswith("pyasynq.core.")
    text = (is_ours and _text(error)) or _type_and_text(error)
    cause = _cause_of(error) if is_ours and _lacks_reason(error) else None
    return text if cause is None else f"{text} after {_type_and_text(cause)}"


def _lacks_reason(error: BaseException) -> bool:
    match error:
        case RetryIn(reason="") | SkipRetry(args=()):
            return True
        case _:
            return False


def _cause_of(error: BaseException) -> BaseException | None:
    """Return the error from which, or while which was handled, *error* was raised."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def class_and_place(error: BaseException) -> str:
    """Return the class of *error* and where it was raised, and nothing of its text."""
    errors = list(dict.fromkeys(map(_class_and_place, errors_in(error))))
    more = [f"and {len(errors) - MOST_IN_GROUP} more"] if len(errors) > MOST_IN_GROUP else []
    return ", ".join(errors[:MOST_IN_GROUP] + more)


def _class_and_place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return f"{type(error).__name__} at {code.co_filename}:{trace.tb_lineno} in {code.co_name}"


def _type_and_text(error: BaseException) -> str:
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _group_text(group: ExceptionGroup[Exception]) -> str:
    errors = errors_in(group)
    about = "" if group.message in GENERIC_GROUP_TEXTS else f"{group.message[:LONGEST_IN_GROUP]}: "
    if len(errors) == 1:
        return f"{about}{error_text(errors[0])[:LONGEST_IN_GROUP]}"
    texts = list(dict.fromkeys(_type_and_text(error) for error in errors))
    parts = [f"({text[:LONGEST_IN_GROUP]})" for text in texts[:MOST_IN_GROUP]]
    if len(texts) > MOST_IN_GROUP:
        parts.append(f"and {len(texts) - MOST_IN_GROUP} more")
    return f"{about}{len(errors)} errors: {', '.join(parts)}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - __str__ is the user's code, and exit() must not end the worker
        return "it cannot say what it is"
