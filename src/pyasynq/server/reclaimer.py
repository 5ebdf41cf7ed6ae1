"""Keep groups from getting stuck.

Source:
    Protocol sections 3.14 and 6.9 (asynq v0.26.0 ``recoverer.recoverStaleAggregationSets``).

Differs:
    Registers the groups (D16), also those that a Go peer has left unregistered (D15).
"""

import logging
from collections.abc import Sequence
from typing import Final

from pyasynq.broker import GroupPath
from pyasynq.clock import Clock
from pyasynq.server.actor import Actor, Link

log = logging.getLogger("pyasynq.server")

PERIOD_S: Final = 5.0


class Reclaimer(Actor):
    """Puts back staged sets whose aggregator is gone, and finds groups that nobody knows."""

    name = "reclaimer"

    def __init__(self, path: GroupPath, queues: Sequence[str], *, clock: Clock, link: Link) -> None:
        """Look after *queues*."""
        super().__init__(clock=clock, link=link)
        self._path = path
        self._queues = queues

    async def step(self) -> float:
        """Look after every queue; return the seconds until there is more to look through."""
        return min([await self._look_after(queue) for queue in self._queues])

    async def _look_after(self, queue: str) -> float:
        if count := await self._path.reclaim(queue):
            log.info("%d tasks of %r are back in their groups", count, queue)
        found, next_in_s = await self._path.find(queue)
        if found:
            log.info("%d groups of %r were not registered; they are now", found, queue)
        return min(next_in_s, PERIOD_S)
