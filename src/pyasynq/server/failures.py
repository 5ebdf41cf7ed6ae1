"""Say which runs failed, and what becomes of their tasks."""

import asyncio
import logging
from datetime import datetime
from typing import Final

from pyasynq.broker import Lease
from pyasynq.errors import PyasynqError, RevokeTask, SkipRetry, Snooze
from pyasynq.settle import Archive, Retry, Verdict, error_text

log = logging.getLogger("pyasynq.server")


def as_exception(error: BaseException) -> Exception:
    """Return what a handler raised as something that a task can fail with."""
    match error:
        case Exception():
            return error
        case BaseExceptionGroup():
            held = [as_exception(one) for one in error.exceptions]
            return ExceptionGroup(error.message, held).with_traceback(error.__traceback__)
        case SystemExit():
            failure = RuntimeError(f"the handler called exit({error.code!r})")
        case asyncio.CancelledError():
            failure = RuntimeError("the handler raised CancelledError, though nobody stopped it")
        case _:
            failure = RuntimeError(f"the handler raised {error!r}")
    failure.__cause__ = error
    return failure


def is_cancellation(error: BaseException) -> bool:
    """Return whether *error* is a cancellation, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(asyncio.CancelledError)[1] is None
    return isinstance(error, asyncio.CancelledError)


LONGEST_SHOWN: Final = 500
"""Characters of an error's text that a log line shows; the task in Redis has all."""


def log_failure(lease: Lease, error: Exception, verdict: Verdict, *, now: datetime) -> None:
    """Log that the task of *lease* failed with *error*, and its *verdict*; never its payload.

    The traceback comes with tasks that are given up, and with all where DEBUG lines are shown.
    """
    message = lease.message
    level = logging.DEBUG if isinstance(error, Snooze | RevokeTask) else logging.WARNING
    log.log(
        level,
        "task %s (%s in %r), retried %d of %d: %s; %s",
        lease.id,
        message.type,
        lease.queue,
        message.retried,
        message.retry,
        _shown(error),
        _fate(verdict, now),
        exc_info=error if _wants_traceback(error, verdict) else None,
    )


def _shown(error: Exception) -> str:
    line = " ".join(error_text(error).split())[:LONGEST_SHOWN]
    return line.encode(errors="backslashreplace").decode()


def _fate(verdict: Verdict, now: datetime) -> str:
    match verdict:
        case Retry(at=at, failed=failed):
            wait_s = max(round((at - now).total_seconds()), 0)
            return f"retry in {wait_s} s" + ("" if failed else ", which spends no retry")
        case Archive():
            return "archived"
        case _:
            return "dropped"


def _wants_traceback(error: Exception, verdict: Verdict) -> bool:
    """Return whether to show where *error* comes from; the text of our own errors says it all."""
    if log.isEnabledFor(logging.DEBUG):
        return True
    return isinstance(verdict, Archive) and not isinstance(error, SkipRetry | PyasynqError)
