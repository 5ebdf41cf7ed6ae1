"""Delete tasks whose retention is over.

Source:
    Protocol sections 3.11, 3.16 and 6.10 (asynq v0.26.0 ``janitor.go``).

Differs:
    Also trims the archive, in chunks, so that Go's trimming never fails (D21).
"""

from pyasynq.broker import UpkeepPort
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.clock import Clock


class Janitor(Actor):
    """Deletes completed tasks of one queue after their retention, and archived ones over limits."""

    def __init__(
        self,
        port: UpkeepPort,
        queue: str,
        *,
        period_s: float,
        batch: int,
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Clean *queue* every *period_s* seconds, *batch* tasks in one script."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"janitor of {queue!r}"
        self._port = port
        self._queue = queue
        self._period_s = period_s
        self._batch = batch

    async def step(self) -> float:
        """Clean the queue."""
        while await self._port.trim(self._queue, limit=self._batch):
            pass
        return self._period_s
