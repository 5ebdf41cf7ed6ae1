"""Put tasks back that cannot be run here, but by another worker, perhaps: a newer one.

Their type has no handler, or their payload is sealed and cannot be opened.

Differs:
    In the reference such a task spends its retries, and the worker without the type archives what
    is meant for others. Here so does a mux, but not the server of an `App` (D67). What is sealed
    waits in any case: a client that seals is new, and there may be workers that are older.
"""

import random
from datetime import datetime
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.control import HandlerNotFoundError
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.verdict import Archive, Retry, decide_unknown, decisive
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

MOST_NAMED: Final = 1000
"""Types and codecs that are named in a warning of their own."""


class UnknownTypes:
    """Decides about tasks that cannot be run here; names each type and codec once in the log."""

    def __init__(self, *, wait: bool) -> None:
        """Let tasks without handler *wait* for others, or leave them to their retries."""
        self._wait = wait
        self._named: set[tuple[str, str]] = set()

    def verdict(self, lease: Lease, error: Exception, *, now: datetime) -> Retry | Archive | None:
        """Return what becomes of the task of *lease*; None if *error* is no reason to wait."""
        message = lease.message
        match decisive(message.type, error):
            case HandlerNotFoundError(type=message.type) if self._wait:
                pass
            case CodecError(action="open", part="payload", queue=lease.queue, task_id=message.id):
                pass
            case _:  # also of another task, which the handler ran or read itself
                return None
        return decide_unknown(
            message,
            error,
            lease.unknown_s or 0,
            crashes=lease.crashes,
            now=now,
            lot=random.random(),
        )

    def tell(self, lease: Lease, error: Exception) -> None:
        """Warn that such tasks are put back, if that has not been said before."""
        type = lease.message.type
        why = decisive(type, error)
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
