"""Find out what there is to do for a queue, and have it done.

Of all servers with the queue one does its upkeep at a time. The others look again when it must have
extended its time, so that one of them goes on a few seconds after it has died.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pyasynq.broker import Job, Look, UpkeepPort
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import OnCall, OutageLog, Wakeable
from pyasynq.server.config import Config

LONGEST_S: Final = 2.0
"""Longest time between two looks of the server that does the upkeep: else it would lose it."""

SPREAD_S: Final = 0.5
"""Random time by which other servers look later, so that they do not look all at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What does a job.

    Attributes:
        actor: Does it when it is woken.
        rest_s: Least seconds from one time to the next.
    """

    actor: OnCall
    rest_s: float = 0.0


class Maintainer(Wakeable):
    """Looks after one queue, and wakes the actors for which there is something to do.

    Attributes:
        is_in_charge: Whether this server does the upkeep of the queue.
    """

    jitter: float = 0.0

    def __init__(
        self,
        port: UpkeepPort,
        queue: str,
        workers: Mapping[Job, Worker],
        *,
        config: Config,
        on_outage: Callable[[], None],
        outages: OutageLog,
    ) -> None:
        """Maintain *queue* with *workers*.

        Args:
            port: Knows what is due.
            queue: The name of the queue.
            workers: What does each job.
            config: Settings of the server.
            on_outage: Called after each look that has failed.
            outages: Gets failures and successes.
        """
        super().__init__(clock=config.clock, outages=outages)
        self.name: str = f"maintainer of {queue!r}"
        self.is_in_charge: bool = False
        self._port = port
        self._queue = queue
        self._workers = workers
        self._server_id = config.server_id
        self._dead_server = config.replaces
        self._longest_s = min(config.delayed_task_check_interval.total_seconds(), LONGEST_S)
        self._on_outage = on_outage
        self._rested_at_s = dict.fromkeys(workers, -math.inf)

    async def step(self) -> float:
        """Wake the actors that have something to do; return the seconds until the next look."""
        try:
            look = await self._look()
        except BrokerError:
            self._on_outage()
            raise
        self.is_in_charge = look.held_elsewhere_s is None
        if look.held_elsewhere_s is not None:
            return look.held_elsewhere_s + random.uniform(0, SPREAD_S)
        for job in look.due:
            self._begin(job)
        return min(look.next_in_s or math.inf, self._longest_s)

    async def _look(self) -> Look:
        if self._dead_server is not None:
            await self._port.release(self._queue, server_id=self._dead_server)
            self._dead_server = None
        return await self._port.look(self._queue, server_id=self._server_id)

    def _begin(self, job: Job) -> None:
        """Have *job* done, unless its actor rests or there is none."""
        now_s = self._clock.monotonic()
        if job in self._workers and now_s >= self._rested_at_s[job]:
            self._rested_at_s[job] = now_s + self._workers[job].rest_s
            self._workers[job].actor.wake()
