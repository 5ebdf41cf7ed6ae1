"""Combine the tasks of groups.

Source:
    Protocol sections 3.14 and 6.11 (asynq v0.26.0 ``aggregator.go``).

Differs:
    Looks when a group is ripe, and combines several groups side by side (D19).
"""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import Actor, OutageLog, StepSignal
from pyasynq.server.config import Config, GroupAggregator
from pyasynq.server.groups.set_aggregator import SetAggregator
from pyasynq.server.mux import HANDLER_THREAD

LONGEST_S: Final = 1.0
"""Longest time between two looks: others may add to groups, too."""

PAUSE: Final = 10
"""How many times longer the pause after a look is than the look, at least."""

AT_ONCE: Final = 10
"""Groups of a queue combined side by side, so that a slow one delays no other."""


class Aggregator(Actor):
    """Has the user's function combine the ripe groups of one queue.

    Attributes:
        combinings: Signals each group that was worked on, well or not.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        aggregate: GroupAggregator,
        *,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Combine the groups of *queue* by *aggregate*."""
        super().__init__(clock=config.clock, outages=outages)
        self.name: str = f"aggregator of {queue!r}"
        self.combinings: StepSignal = StepSignal()
        self._port = broker.groups
        self._queue = queue
        self._rules = config.group_rules()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"{HANDLER_THREAD}-groups")
        self._combiner = SetAggregator(
            broker,
            aggregate,
            self._threads,
            config=config,
            failed=functools.partial(outages.failed, self.name),
        )
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()
        self._stopped = False

    async def run(self) -> None:
        """Combine until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            await super().run()

    async def step(self) -> float:
        """Start on every ripe group; return the seconds until another one is ripe.

        A look at very many groups is followed by a longer pause.
        """
        async with self._turn():
            started = self._clock.monotonic()
            ripe = await self._port.ready(self._queue, self._rules)
            took_s = self._clock.monotonic() - started
        for group in ripe.names:
            await self._start(group)
        next_in_s = LONGEST_S if ripe.next_in_s is None else min(ripe.next_in_s, LONGEST_S)
        return max(next_in_s, took_s * PAUSE)

    async def _next_step(self) -> float:
        return await self.step()  # takes its turn for the look, and not to start on groups

    async def finished(self) -> None:
        """Start on no more groups; return when those begun are over."""
        self._stopped = True
        if self._jobs:
            await asyncio.wait(self._jobs.values())

    def interrupt(self) -> None:
        """Put everything back that is under way."""
        for job in self._jobs.values():
            job.cancel()

    def close(self) -> None:
        """Let go of threads; one that does not return ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _start(self, group: str) -> None:
        if group in self._jobs:
            return
        await self._free.acquire()
        if self._stopped:
            self._free.release()
            return
        job = self._tasks.create_task(self._work_off(group), name=f"aggregate {group}")
        self._jobs[group] = job
        job.add_done_callback(lambda _: self._over(group))

    def _over(self, group: str) -> None:
        del self._jobs[group]
        self._free.release()
        self.combinings.finish()

    async def _work_off(self, group: str) -> None:
        """Combine a group, set by set, as long as it is ripe and all goes well."""
        try:
            well = True
            while well and not self._stopped:
                staged = await self._port.stage(self._queue, group, self._rules)
                well = staged is not None and await self._combiner.combine(staged)
        except BrokerError as error:
            self._outages.failed(self.name, error)
