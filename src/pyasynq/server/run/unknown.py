"""Put back tasks that this worker cannot run, but perhaps another one: a newer one, for instance.

Their type has no handler, or their payload is sealed and cannot be opened.

Differs:
    In asynq such a task spends its retries, so a worker without the type archives tasks that others
    could run. A server with a mux does the same here, but that of an `App` does not (D67). Sealed
    tasks always wait: clients may begin to seal before all workers are replaced.
"""

import random
from datetime import datetime
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.control import HandlerNotFoundError
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.verdict import Archive, Retry, decide_unknown, decisive_error
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

MOST_NAMED: Final = 1000
"""Most types and codecs that get a warning; the others are only logged with level DEBUG."""


class UnknownTypes:
    """Decides about tasks that this worker cannot run; logs each type and codec once."""

    def __init__(self, *, wait: bool) -> None:
        """Let tasks without a handler *wait* for other workers, or spend their retries."""
        self._wait = wait
        self._named: set[tuple[str, str]] = set()

    def decide(self, lease: Lease, error: Exception, *, now: datetime) -> Retry | Archive | None:
        """Return the verdict on the task of *lease*; None if *error* is no reason to wait."""
        message = lease.message
        match decisive_error(message.type, error):
            case HandlerNotFoundError(type=message.type) if self._wait:
                pass
            case CodecError(action="open", part="payload", queue=lease.queue, task_id=message.id):
                pass
            case _:  # also such an error about another task, which the handler ran or read
                return None
        return decide_unknown(
            message,
            error,
            lease.unknown_s or 0,
            crashes=lease.crashes,
            now=now,
            jitter=random.random(),
        )

    def report(self, lease: Lease, error: Exception) -> None:
        """Log that the task is put back: the first of its type or codec as a warning."""
        type = lease.message.type
        why = decisive_error(type, error)
        named = ("codec", why.codec) if isinstance(why, CodecError) else ("type", type)
        if named in self._named or len(self._named) >= MOST_NAMED:
            log.debug("task %s (%s in %r) is put back: %s", lease.id, type, lease.queue, why)
        elif isinstance(why, CodecError):
            self._named.add(named)
            log.warning("%s; such tasks wait 24 h for a worker that can", why)
        else:
            self._named.add(named)
            log.warning(
                "no handler for tasks of type %r (%s in %r): they wait 24 h for a worker with one",
                type,
                lease.id,
                lease.queue,
            )
