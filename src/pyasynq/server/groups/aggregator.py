"""Combine the tasks of groups.

Source:
    Protocol sections 3.14 and 6.11 (asynq v0.26.0 ``aggregator.go``).

Differs:
    Sleeps until a group is ready, and combines several groups at once (D19).
"""

import asyncio
import functools
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import OutageLog, StepSignal, Wakeable
from pyasynq.server.config import Config, GroupAggregator
from pyasynq.server.groups.set_aggregator import SetAggregator
from pyasynq.server.mux import HANDLER_THREAD

LONGEST_S: Final = 1.0
"""Longest time between two reads: others may add to groups, too."""

SPREAD_S: Final = 0.5
"""Random time by which a server looks later that another one precedes."""

PAUSE_FACTOR: Final = 10
"""The pause after a read is at least this many times as long as the read."""

MAX_GROUPS: Final = 10
"""Groups of a queue combined at once, so that a slow one does not delay the others."""


class Aggregator(Wakeable):
    """Has the user's function combine the ready groups of one queue.

    Attributes:
        is_in_charge: Whether this server combines the groups of the queue, and others leave them.
        groups_done: Signals the end of work on each group, also after a failure.
    """

    jitter: float = 0.0

    def __init__(
        self,
        broker: Broker,
        queue: str,
        aggregate: GroupAggregator,
        *,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Combine the groups of *queue* with the user's function *aggregate*."""
        super().__init__(clock=config.clock, outages=outages)
        self.name: str = f"aggregator of {queue!r}"
        self.is_in_charge: bool = False
        self.groups_done: StepSignal = StepSignal()
        self._port = broker.groups
        self._queue = queue
        self._rules = config.group_rules()
        self._server_id = config.server_id
        self._free = asyncio.Semaphore(MAX_GROUPS)
        self._threads = ThreadPoolExecutor(
            MAX_GROUPS, thread_name_prefix=f"{HANDLER_THREAD}-groups"
        )
        self._set_aggregator = SetAggregator(
            broker,
            aggregate,
            self._threads,
            config=config,
            record_failure=functools.partial(outages.record_failure, self.name),
        )
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()
        self._stopped = False

    async def run(self) -> None:
        """Combine until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            await super().run()

    async def step(self) -> float:
        """Start to combine every ready group; return the seconds until another one is ready.

        After a slow read, of very many groups for instance, the pause is longer. While more groups
        are ready than it can combine at once, another server begins, too, after a few seconds.
        """
        if self._stopped:
            return LONGEST_S
        async with self._limit_slot():
            started = self._clock.monotonic()
            ready = await self._port.ready(self._queue, self._rules, server_id=self._server_id)
            took_s = self._clock.monotonic() - started
        self.is_in_charge = ready.held_elsewhere_s is None
        if ready.held_elsewhere_s is not None:
            return ready.held_elsewhere_s + random.uniform(0, SPREAD_S)
        for group in ready.names:
            await self._start(group)
        next_in_s = LONGEST_S if ready.next_in_s is None else min(ready.next_in_s, LONGEST_S)
        return max(next_in_s, took_s * PAUSE_FACTOR)

    async def _next_step(self) -> float:
        return await self.step()  # it takes a slot of the limit only for the read

    @property
    def is_idle(self) -> bool:
        """Whether it combines no group."""
        return not self._jobs

    def stop(self) -> None:
        """Start no more groups; running ones go on."""
        self._stopped = True

    async def wait_until_finished(self) -> None:
        """Start no more groups; return when the running ones have ended."""
        self.stop()
        if self._jobs:
            await asyncio.wait(self._jobs.values())

    def interrupt(self) -> None:
        """Cancel running aggregations, which puts their tasks back."""
        for job in self._jobs.values():
            job.cancel()

    def close(self) -> None:
        """Release the threads; one that does not return ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _start(self, group: str) -> None:
        if group in self._jobs:
            return
        await self._free.acquire()
        if self._stopped:
            self._free.release()
            return
        job = self._tasks.create_task(self._combine_group(group), name=f"aggregate {group}")
        self._jobs[group] = job
        job.add_done_callback(lambda _: self._on_done(group))

    def _on_done(self, group: str) -> None:
        del self._jobs[group]
        self._free.release()
        self.groups_done.finish()

    async def _combine_group(self, group: str) -> None:
        """Combine a group, set by set, as long as it is ready and no set fails."""
        try:
            succeeded = True
            while succeeded and not self._stopped:
                group_set = await self._port.stage(self._queue, group, self._rules)
                succeeded = group_set is not None and await self._set_aggregator.combine(group_set)
        except BrokerError as error:
            self._outages.record_failure(self.name, error)
