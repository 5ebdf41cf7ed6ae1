"""Say how runs ended, and what becomes of their tasks."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Final, cast

from pyasynq.core.control import (
    DeadlinePassedError,
    HandlerNotFoundError,
    NotAwaitedError,
    PayloadError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    Snooze,
    TaskCanceledError,
)
from pyasynq.core.verdict import Archive, Done, Retry, Verdict, decisive, error_text, errors_in
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.run.slots import Run
from pyasynq.server.run.traces import ExcInfo, format_traceback

log: Final = get_logger("pyasynq.server")

FAILED: Final = "%s, retried %d of %d: %s; %s"
UNREADABLE: Final = "task %s in %r is not readable; archived as it is"

LONGEST_SHOWN: Final = 500
"""Characters of an error's text that a log line shows; the task in Redis has all."""

NEW_FOR_S: Final = 3600.0
"""A kind of failure that was shown with its traceback is new again after this time."""

MOST_KINDS: Final = 1000
"""Kinds of failures that are remembered."""


WANTED: Final = (RevokeTask, SkipRetry, RetryIn, Snooze, TaskCanceledError)
"""Errors by which somebody says what is to become of a task."""


class RunLog:
    """Logs how runs ended; payloads never.

    Of many failures of one kind (task type, class of the error and line that raised it) the first
    comes with its traceback and as an error, so that whoever collects those gets each kind once an
    hour; the others are one line. Tasks that are given up are errors with a traceback, all of them,
    and everything has one where DEBUG lines are shown. A traceback begins where the user's code
    does; there is none of an error whose text says all.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing shown."""
        self._clock = clock
        self._shown_at: dict[object, float] = {}

    def succeeded(self, run: Run, *, took_s: float) -> None:
        """Log that *run* went well."""
        log.debug("%s succeeded after %.3f s", run, took_s)

    def went_back(self, run: Run) -> None:
        """Log that *run* was interrupted by the stop of the server."""
        log.info("%s was interrupted; it is back in its queue", run)

    def was_lost(self, run: Run) -> None:
        """Log that *run* has ended without its lease."""
        log.info("%s was stopped, for its lease is over; another worker runs it", run)

    def failed(self, run: Run, error: Exception, verdict: Verdict, *, now: datetime) -> None:
        """Log that *run* failed with *error*, and the *verdict* on its task."""
        message = run.lease.message
        level = self._level(message.type, error, verdict)
        traced = level >= logging.ERROR or log.isEnabledFor(logging.DEBUG)
        told = (run, message.retried, message.retry, _shown(error), _fate(verdict, now))
        try:
            log.log(level, FAILED, *told, exc_info=_trace(message.type, error) if traced else None)
        except RecursionError:  # Python cannot show a group of so many levels
            log.log(level, FAILED, *told, exc_info=format_traceback(decisive(message.type, error)))

    def _level(self, type: str, error: Exception, verdict: Verdict) -> int:
        match _telling(type, error), verdict:
            case (Snooze() | RevokeTask(), _):
                return logging.DEBUG
            case (SkipRetry() | RetryIn() | TaskCanceledError(), _) | (_, Retry(failed=False)):
                return logging.WARNING  # somebody wanted it so
            case (_, Archive() | Done()):
                return logging.ERROR
            case (HandlerNotFoundError(), _):
                return logging.WARNING  # nothing was called that could be traced
            case (meant, _):
                return logging.ERROR if self._is_new(type, meant) else logging.WARNING

    def _is_new(self, type: str, error: Exception) -> bool:
        """Return whether no failure of this kind was shown lately; from now on one was."""
        kind, now_s = (type, error.__class__, _line(error)), self._clock.monotonic()
        if now_s - self._shown_at.get(kind, -NEW_FOR_S) < NEW_FOR_S:
            return False
        self._shown_at.pop(kind, None)
        if len(self._shown_at) >= MOST_KINDS:
            del self._shown_at[next(iter(self._shown_at))]  # the oldest
        self._shown_at[kind] = now_s
        return True


def _trace(type: str, error: Exception) -> ExcInfo | None:
    """Return what the log shows of *error*; None if its text says all."""
    match error:
        case DeadlinePassedError() | NotAwaitedError():
            return None
        case PayloadError() if error.type == type:
            return None
        case _:
            return format_traceback(error)


def _telling(type: str, error: Exception) -> Exception:
    """Return what is to be known of *error*: of a group the failure in it that nobody wanted.

    Beside it, a signal that decides about the task says nothing of what is wrong.
    """
    failures = [one for one in errors_in(error) if not isinstance(one, WANTED)]
    return failures[0] if failures else decisive(type, error)


def _line(error: BaseException) -> tuple[str, int] | None:
    """Return file and line in which *error* was raised, or that which led to it."""
    frames = error.__traceback__
    if frames is None:
        return _line(error.__cause__) if error.__cause__ is not None else None
    while frames.tb_next is not None:
        frames = frames.tb_next
    return frames.tb_frame.f_code.co_filename, frames.tb_lineno


def as_exception(error: BaseException) -> Exception:
    """Return what a handler raised as something that a task can fail with."""
    if isinstance(error, Exception):
        return error
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        held = [_as_exception(one) for one in errors_in(group)]
        return ExceptionGroup(group.message, held).with_traceback(error.__traceback__)
    return _as_exception(error)


def _as_exception(error: BaseException) -> Exception:
    match error:
        case Exception():
            return error
        case SystemExit():
            failure = RuntimeError(f"the handler called exit({_repr(error.code)})")
        case asyncio.CancelledError():
            failure = RuntimeError("the handler raised CancelledError, though nobody stopped it")
        case _:
            failure = RuntimeError(f"the handler raised {_repr(error)}")
    return instead_of(error, failure)


def instead_of(error: BaseException, failure: Exception) -> Exception:
    """Return *failure* with what *error* shows: where it was raised, and what led to it."""
    failure.__cause__ = error.__cause__
    failure.__context__ = error.__context__
    failure.__suppress_context__ = error.__suppress_context__
    return failure.with_traceback(error.__traceback__)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001 - the user's code, and exit() must not end the worker
        return f"a {type(value).__name__}"


def checked(type: str, error: Exception) -> Exception:
    """Return *error*, or another if that has no answer to what a task of *type* is settled by.

    A class of the user's may lack what its base has, the delay of a `RetryIn` for instance.
    """
    try:
        for one in errors_in(error):
            if isinstance(one, RetryIn | Snooze):
                _ = one.delay + timedelta(0)
        decisive(type, error)
    except Exception as broken:  # noqa: BLE001 - whatever the user's code raises
        failure = RuntimeError(
            f"the handler raised a {error.__class__.__name__} that cannot be used: "
            f"{error_text(broken)}"
        )
        failure.__cause__ = broken
        return failure
    return error


def is_cancellation(error: BaseException) -> bool:
    """Return whether *error* is a cancellation, or a group of nothing else."""
    return all(isinstance(one, asyncio.CancelledError) for one in errors_in(error))


def _shown(error: Exception) -> str:
    return " ".join(error_text(error).split())[:LONGEST_SHOWN]


def _fate(verdict: Verdict, now: datetime) -> str:
    match verdict:
        case Retry(at=at, failed=failed):
            wait_s = max(round((at - now).total_seconds()), 0)
            return f"retry in {wait_s} s" + ("" if failed else ", which spends no retry")
        case Archive():
            return "archived"
        case _:
            return "dropped"
