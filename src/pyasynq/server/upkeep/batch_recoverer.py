"""Go on with batches of tasks whose clients have gone."""

import math
from typing import Final, Protocol

from pyasynq.broker import BatchRepair
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

REST_S: Final = 30.0
"""Least seconds between two steps."""


class Batches(Protocol):
    """What can be repaired."""

    async def repair(self, queue: str) -> BatchRepair:
        """Go on with batches whose clients have gone; see `BatchPort`."""
        ...


class BatchRecoverer(OnCall):
    """Releases or deletes the staged tasks of one queue that their clients have left."""

    def __init__(self, port: Batches, queue: str, *, clock: Clock, outages: OutageLog) -> None:
        """Look after the batches of *queue*."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"batch recoverer of {queue!r}"
        self._port = port
        self._queue = queue
        self._broken: set[str] = set()

    async def step(self) -> float:
        """Go on with the batches that nobody has changed for some time."""
        done = await self._port.repair(self._queue)
        if done.released:
            text = "%d tasks of %r were created together, and are released in place of their client"
            log.info(text, done.released, self._queue)
        if done.discarded:
            text = (
                "%d batches of %r are deleted: their clients have gone before all tasks were there"
            )
            log.warning(text, done.discarded, self._queue)
        if done.noticed:
            text = "%d members of batches of %r had ended without a report, and are counted now"
            log.info(text, done.noticed, self._queue)
        for batch_id in sorted({*done.broken} - self._broken):
            log.error("the record of batch %s in %r cannot be read", batch_id, self._queue)
        self._broken = {*done.broken}
        return math.inf
