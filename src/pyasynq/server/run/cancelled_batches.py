"""Know which batches are cancelled: their members must not begin."""

from contextlib import suppress
from typing import Final

from pyasynq.broker import BatchPort
from pyasynq.core.control import RevokeTask
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import place_of
from pyasynq.runtime.clock import Clock

KNOWN_S: Final = 5.0
"""Seconds for which an answer of the broker counts."""

MOST_KNOWN: Final = 1000
"""Batches whose answers are kept."""


class CancelledBatches:
    """Asks for the batch of each member before it begins, but for each batch once in some time."""

    def __init__(self, port: BatchPort, clock: Clock) -> None:
        """Ask *port*."""
        self._port = port
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    async def check(self, message: TaskMessage) -> None:
        """Return if the task of *message* may begin.

        Raises:
            RevokeTask: If it is a member of a batch that is cancelled. If the broker does not
                answer, it may begin.
        """
        place = place_of(message)
        if place is None or place.kind != "batch":
            return
        now, key = self._clock.monotonic(), (place.queue, place.id)
        asked_at, is_cancelled = self._known.get(key, (-KNOWN_S, False))
        if now - asked_at >= KNOWN_S:
            with suppress(BrokerError):
                is_cancelled = await self._port.is_cancelled(*key)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = now, is_cancelled
        if is_cancelled:
            msg = f"batch {place.id} is cancelled"
            raise RevokeTask(msg)

    async def is_cancelled(self, message: TaskMessage) -> bool:
        """Return whether the task of *message* is a member of a batch that is cancelled now.

        Raises:
            BrokerError: If the broker does not answer.
        """
        place = place_of(message)
        if place is None or place.kind != "batch":
            return False
        return await self._port.is_cancelled(place.queue, place.id)
