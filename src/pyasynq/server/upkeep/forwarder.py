"""Move due tasks to their queues.

Source:
    Protocol sections 3.13 and 6.10 (asynq v0.26.0 ``forwarder.go``).

Differs:
    Does so when a task is due; asynq checks every 5 s (D2).
"""

import math

from pyasynq.broker import UpkeepPort
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.clock import Clock


class Forwarder(OnCall):
    """Forwards the due tasks of one queue: those scheduled, and those to retry."""

    def __init__(self, port: UpkeepPort, queue: str, *, clock: Clock, outages: OutageLog) -> None:
        """Forward the tasks of *queue*."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"forwarder of {queue!r}"
        self._port = port
        self._queue = queue

    async def step(self) -> float:
        """Forward all due tasks; return the seconds until the next is due, infinite without one."""
        while True:
            forwarded = await self._port.forward(self._queue)
            if not forwarded.more:
                return math.inf if forwarded.next_in_s is None else forwarded.next_in_s
