"""Log how runs ended, and the verdicts on their tasks."""

import logging
from datetime import datetime
from typing import Final

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
from pyasynq.core.verdict import (
    Archive,
    Done,
    Retry,
    Verdict,
    decisive_error,
    error_text,
    errors_in,
)
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.run.slots import Run
from pyasynq.server.run.traces import ExcInfo, format_traceback

log: Final = get_logger("pyasynq.server")

FAILED: Final = "%s, retried %d of %d: %s; %s"
UNREADABLE: Final = "task %s in %r is not readable; archived as it is"

MAX_TEXT: Final = 500
"""Characters of an error's text that a log line shows; the task in Redis has the whole text."""

NEW_FOR_S: Final = 3600.0
"""A kind of failure that was logged with its traceback is new again after this time."""

MOST_KINDS: Final = 1000
"""Kinds of failures that are remembered."""


DELIBERATE: Final = (RevokeTask, SkipRetry, RetryIn, Snooze, TaskCanceledError)
"""Errors by which a handler or an operator decides about a task on purpose."""


class RunLog:
    """Logs how runs ended; never payloads.

    A kind of failure is a task type, a class of error and the line that raised it. The first
    failure of a kind in an hour is logged as an error with its traceback, later ones as a warning
    of one line. A failed task that is archived or dropped is always an error with a traceback. With
    level DEBUG every failure has a traceback. A traceback begins in the user's code; an error whose
    text says everything has none.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with no kind of failure known."""
        self._clock = clock
        self._logged_at: dict[object, float] = {}

    def log_success(self, run: Run, *, took_s: float) -> None:
        """Log that *run* succeeded after *took_s* seconds."""
        log.debug("%s succeeded after %.3f s", run, took_s)

    def log_requeue(self, run: Run) -> None:
        """Log that the stop of the server interrupted *run*."""
        log.info("%s was interrupted; it is back in its queue", run)

    def log_lost_lease(self, run: Run) -> None:
        """Log that *run* was stopped because its lease has ended."""
        log.info("%s was stopped because its lease has ended; another worker runs it", run)

    def log_failure(self, run: Run, error: Exception, verdict: Verdict, *, now: datetime) -> None:
        """Log that *run* failed with *error*, and the *verdict* on its task."""
        message = run.lease.message
        level = self._level(message.type, error, verdict)
        traced = level >= logging.ERROR or log.isEnabledFor(logging.DEBUG)
        args = (
            run,
            message.retried,
            message.retry,
            _shorten(error),
            _describe_verdict(verdict, now),
        )
        try:
            log.log(
                level, FAILED, *args, exc_info=_exc_info_of(message.type, error) if traced else None
            )
        except RecursionError:  # Python cannot format an exception group nested this deeply
            log.log(
                level, FAILED, *args, exc_info=format_traceback(decisive_error(message.type, error))
            )

    def _level(self, type: str, error: Exception, verdict: Verdict) -> int:
        match _main_error(type, error), verdict:
            case (Snooze() | RevokeTask(), _):
                return logging.DEBUG
            case (SkipRetry() | RetryIn() | TaskCanceledError(), _) | (_, Retry(failed=False)):
                return logging.WARNING  # it was decided on purpose
            case (_, Archive() | Done()):
                return logging.ERROR
            case (HandlerNotFoundError(), _):
                return logging.WARNING  # no code was called, so there is no traceback
            case (main, _):
                return logging.ERROR if self._is_new(type, main) else logging.WARNING

    def _is_new(self, type: str, error: Exception) -> bool:
        """Return whether no failure of this kind was logged in the last hour; remember this one."""
        kind, now_s = (type, error.__class__, _source_line(error)), self._clock.monotonic()
        if now_s - self._logged_at.get(kind, -NEW_FOR_S) < NEW_FOR_S:
            return False
        self._logged_at.pop(kind, None)
        if len(self._logged_at) >= MOST_KINDS:
            del self._logged_at[next(iter(self._logged_at))]  # the oldest
        self._logged_at[kind] = now_s
        return True


def _exc_info_of(type: str, error: Exception) -> ExcInfo | None:
    """Return ``exc_info`` for *error*; None if its text says everything."""
    match error:
        case DeadlinePassedError() | NotAwaitedError():
            return None
        case PayloadError() if error.type == type:
            return None
        case _:
            return format_traceback(error)


def _main_error(type: str, error: Exception) -> Exception:
    """Return the error that matters for the log: in a group, the first that is not deliberate.

    A deliberate one decides about the task, but does not say what is wrong.
    """
    failures = [one for one in errors_in(error) if not isinstance(one, DELIBERATE)]
    return failures[0] if failures else decisive_error(type, error)


def _source_line(error: BaseException) -> tuple[str, int] | None:
    """Return file and line that raised *error*, or its cause if it has no traceback."""
    frames = error.__traceback__
    if frames is None:
        return _source_line(error.__cause__) if error.__cause__ is not None else None
    while frames.tb_next is not None:
        frames = frames.tb_next
    return frames.tb_frame.f_code.co_filename, frames.tb_lineno


def _shorten(error: Exception) -> str:
    return " ".join(error_text(error).split())[:MAX_TEXT]


def _describe_verdict(verdict: Verdict, now: datetime) -> str:
    match verdict:
        case Retry(at=at, failed=failed):
            wait_s = max(round((at - now).total_seconds()), 0)
            return f"retry in {wait_s} s" + ("" if failed else ", without spending a retry")
        case Archive():
            return "archived"
        case _:
            return "dropped"
