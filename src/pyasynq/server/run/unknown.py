"""Put tasks back whose type has no handler here: another worker may know it.

Differs:
    In the reference such a task spends its retries, and the worker without the type archives what
    is meant for others. Here so does a mux, but not the server of an `App` (D67).
"""

import random
from datetime import datetime
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.control import HandlerNotFoundError
from pyasynq.core.settle import Archive, Retry, decisive, unknown
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

MOST_NAMED: Final = 1000
"""Types that are named in a warning of their own."""


class UnknownTypes:
    """Decides about tasks whose type has no handler, and names each type once in the log."""

    def __init__(self, *, wait: bool) -> None:
        """Let such tasks *wait* for a worker that knows them, or leave them to their retries."""
        self._wait = wait
        self._named: set[str] = set()

    def verdict(self, lease: Lease, error: Exception, *, now: datetime) -> Retry | Archive | None:
        """Return what becomes of the task of *lease*; None if *error* says that it is known."""
        if not self._wait:
            return None
        message = lease.message
        match decisive(message.type, error):
            case HandlerNotFoundError(type=message.type):
                return unknown(
                    message,
                    error,
                    lease.unknown_s or 0,
                    crashes=lease.crashes,
                    now=now,
                    lot=random.random(),
                )
            case _:  # also of another type: of a task that the handler ran itself
                return None

    def tell(self, lease: Lease) -> None:
        """Warn that tasks of this type are put back, if that has not been said before."""
        type = lease.message.type
        if type not in self._named and len(self._named) < MOST_NAMED:
            self._named.add(type)
            log.warning(
                "no handler for tasks of type %r (%s in %r): they wait 24 h for a worker with one",
                type,
                lease.id,
                lease.queue,
            )
        else:
            log.debug("no handler for task %s (%s in %r): put back", lease.id, type, lease.queue)
