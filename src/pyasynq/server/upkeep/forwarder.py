"""Move due tasks to their queues, on time.

Source:
    Protocol sections 3.13 and 6.10 (asynq v0.26.0 ``forwarder.go``).

Differs:
    Sleeps until the next task is due; asynq checks every 5 s (D2).
"""

from pyasynq.broker import UpkeepPort
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.clock import Clock


class Forwarder(Actor):
    """Forwards the due tasks of one queue: those scheduled, and those to retry."""

    def __init__(
        self,
        port: UpkeepPort,
        queue: str,
        *,
        longest_s: float,
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Check *queue* at least every *longest_s* seconds: others may schedule, too."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"forwarder of {queue!r}"
        self._port = port
        self._queue = queue
        self._longest_s = longest_s

    async def step(self) -> float:
        """Forward all due tasks; return the seconds until the next check."""
        while True:
            forwarded = await self._port.forward(self._queue)
            if not forwarded.more:
                next_in_s = forwarded.next_in_s
                return self._longest_s if next_in_s is None else min(next_in_s, self._longest_s)
