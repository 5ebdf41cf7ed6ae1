"""Put abandoned aggregation sets back, and register unregistered groups.

Source:
    Protocol sections 3.14 and 6.9 (asynq v0.26.0 ``recoverer.recoverStaleAggregationSets``).

Differs:
    Registers the groups of the sets (D16), and those that a Go peer has not registered (D15).
"""

from typing import Final

from pyasynq.broker import GroupPort
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")


class Reclaimer(OnCall):
    """Puts back the sets of dead aggregators, and finds groups that are not registered."""

    def __init__(self, port: GroupPort, queue: str, *, clock: Clock, outages: OutageLog) -> None:
        """Maintain the groups of *queue*."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"reclaimer of {queue!r}"
        self._port = port
        self._queue = queue

    async def step(self) -> float:
        """Put sets back and search for groups; return the seconds until the next time."""
        reclaimed = await self._port.reclaim(self._queue)
        if reclaimed.tasks:
            log.info("%d tasks of %r are back in their groups", reclaimed.tasks, self._queue)
        if reclaimed.groups:
            text = "%d groups of %r were not registered; they are now"
            log.info(text, reclaimed.groups, self._queue)
        return reclaimed.next_in_s
