"""Delete tasks whose retention is over.

Source:
    Protocol sections 3.11, 3.16 and 6.10 (asynq v0.26.0 ``janitor.go``).

Differs:
    Also trims the archive, in chunks, so that Go's trimming never fails (D21).
"""

import math

from pyasynq.broker import UpkeepPort
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.clock import Clock


class Janitor(OnCall):
    """Deletes completed tasks of one queue after their retention, and archived ones over limits."""

    def __init__(
        self,
        port: UpkeepPort,
        queue: str,
        *,
        batch: int,
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Clean *queue*, *batch* tasks in one script."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"janitor of {queue!r}"
        self._port = port
        self._queue = queue
        self._batch = batch

    async def step(self) -> float:
        """Delete all that is over."""
        while await self._port.trim(self._queue, limit=self._batch):
            pass
        return math.inf
