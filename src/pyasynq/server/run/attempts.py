"""Make the records of failed tries that are kept with a task."""

import os
import socket
import traceback
from datetime import datetime
from typing import TypeVar

import msgspec

from pyasynq.core.attempts import Attempt, record_attempt
from pyasynq.core.control import Snooze
from pyasynq.core.verdict import Archive, Retry, Verdict, errors_in
from pyasynq.server.config import Config
from pyasynq.server.run.traces import format_traceback

V = TypeVar("V", bound=Verdict)


class AttemptRecorder:
    """Adds to verdicts what is kept of the tries that failed."""

    def __init__(self, config: Config) -> None:
        """Keep as many tries, and as much of them, as *config* says."""
        self._keep = config.keep_attempts
        self._hide_errors = config.hide_errors
        self._worker = f"{socket.gethostname()}:{os.getpid()}"

    def record(self, verdict: V, retried: int, error: Exception, *, now: datetime) -> V:
        """Return *verdict* on a task that failed with *error*, with the record of this try.

        A task that only asked to run later has not failed.

        Args:
            verdict: The verdict.
            retried: Retries that were spent before this try.
            error: What the handler raised.
            now: Current time, UTC.
        """
        if all(isinstance(one, Snooze) for one in errors_in(error)):
            return verdict
        text = "" if self._hide_errors else _format(error)
        return self._record(verdict, retried, now=now, trace=text, worker=self._worker)

    def record_lost(self, verdict: V, retried: int, *, now: datetime) -> V:
        """Return *verdict* on a task whose worker died, together with the record of this try."""
        return self._record(verdict, retried, now=now, trace="", worker="")

    def _record(self, verdict: V, retried: int, *, now: datetime, trace: str, worker: str) -> V:
        if not self._keep or not isinstance(verdict, Retry | Archive) or verdict.message is None:
            return verdict
        attempt = Attempt(
            retried=retried,
            failed_at=now,
            error=verdict.message.error_msg,
            traceback=trace,
            worker=worker,
        )
        return msgspec.structs.replace(verdict, attempt=record_attempt(attempt, self._keep))


def _format(error: Exception) -> str:
    found = format_traceback(error)
    if found is None:
        return ""
    try:
        return "".join(traceback.format_exception(*found))
    except Exception:  # noqa: BLE001 - the user's class, or a group that is nested too deeply
        return "".join(traceback.format_tb(found[2]))
