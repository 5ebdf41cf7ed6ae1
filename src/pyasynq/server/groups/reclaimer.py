"""Keep groups from getting stuck.

Source:
    Protocol sections 3.14 and 6.9 (asynq v0.26.0 ``recoverer.recoverStaleAggregationSets``).

Differs:
    Registers the groups (D16), also those that a Go peer has left unregistered (D15).
"""

from typing import Final

from pyasynq.broker import GroupPort
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

PERIOD_S: Final = 5.0


class Reclaimer(Actor):
    """Puts back staged sets whose aggregator is gone, and finds groups that nobody knows."""

    def __init__(self, port: GroupPort, queue: str, *, clock: Clock, outages: OutageLog) -> None:
        """Look after *queue*."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"reclaimer of {queue!r}"
        self._port = port
        self._queue = queue

    async def step(self) -> float:
        """Put back and search; return the seconds until there is more to look through."""
        reclaimed = await self._port.reclaim(self._queue)
        if reclaimed.tasks:
            log.info("%d tasks of %r are back in their groups", reclaimed.tasks, self._queue)
        if reclaimed.groups:
            text = "%d groups of %r were not registered; they are now"
            log.info(text, reclaimed.groups, self._queue)
        return min(reclaimed.next_in_s, PERIOD_S)
