"""Take tasks for free slots: slots → leases → runner."""

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from pyasynq.broker import DequeueResult, WorkPort
from pyasynq.core.priority import draw_queues, sort_by_weight
from pyasynq.core.queue_weights import names_in
from pyasynq.core.verdict import ARCHIVE_AS_IT_IS, REQUEUE
from pyasynq.runtime.actor import OutageLog, StepSignal
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import is_cancel_request
from pyasynq.server.config import Config
from pyasynq.server.run.run_log import UNREADABLE
from pyasynq.server.run.runner import Completer, Runner
from pyasynq.server.run.wakeup import Wakeup, Wakeups

log: Final = get_logger("pyasynq.server")

SMALL_BATCH: Final = 64
"""A batch may always have this number of tasks: smaller ones cost more than their overlap gains."""


class Processor:
    """Takes tasks for free slots, and hands them to the runner.

    Attributes:
        taken: Number of tasks that it has taken.
    """

    name = "processor"

    def __init__(
        self,
        runner: Runner,
        port: WorkPort,
        completer: Completer,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Take tasks from *port* for *runner*."""
        self.steps: StepSignal = StepSignal()
        queues = names_in(config.queues)
        self.wakeups: Wakeups = Wakeups(queues, port, clock=config.clock, outages=outages)
        self._runner = runner
        self._port = port
        self._completer = completer
        self._config = config
        self._lease_s = config.lease.total_seconds()
        self._weights = {queue: queues[queue] for queue in sort_by_weight(queues)}
        self.taken: int = 0
        self._dequeues = 0
        self._taking = asyncio.Lock()
        self._emptied = asyncio.Event()
        self._active = asyncio.Event()  # set when it is known what operators want

    def serve(self, weights: Mapping[str, int]) -> tuple[list[Wakeup], list[Wakeup]]:
        """Take tasks from these queues from now on; return new and former wake-ups."""
        self._weights = {queue: weights[queue] for queue in sort_by_weight(weights)}
        return self.wakeups.watch(weights)

    def begin(self) -> None:
        """Take tasks, for the first time or again."""
        self._active.set()

    def hold(self) -> None:
        """Take no tasks until `begin`; running ones go on."""
        self._active.clear()

    async def run(self) -> None:
        """Take tasks whenever there are free slots, until `stop`."""
        try:
            while not self._runner.stopping:
                free = await self._runner.slots.wait()
                counts = self._draw(min(free, self._max_fetch))
                if not self._active.is_set():
                    await self._active.wait()
                elif counts:
                    await self._take(counts)
                    self.steps.finish()
                else:
                    if not self.wakeups.failing():
                        self._emptied.set()
                    await self.wakeups.wait()
        except asyncio.CancelledError as error:
            if is_cancel_request(error):  # else it is a crash: `run_forever` starts this again
                self._runner.stopping = True
            raise

    def stop(self) -> None:
        """Take no more tasks; running ones go on."""
        self._runner.stopping = True
        self._active.set()
        self.wakeups.notify()

    @property
    def _max_fetch(self) -> int:
        """At most half of the slots: while Redis hands out one half, the other half runs."""
        return max(self._runner.slots.count // 2, SMALL_BATCH)

    def _draw(self, free: int) -> dict[str, int]:
        """Return how many tasks to ask of each queue; the next call offers slots still free."""
        ready = self.wakeups.ready()
        if not ready:
            return {}
        if self._config.strict_priority or len(ready) == 1:
            return {next(queue for queue in self._weights if queue in ready): free}
        weights = {queue: self._weights[queue] for queue in ready}
        return draw_queues(weights, [random.random() for _ in range(free)])

    async def _take(self, counts: dict[str, int]) -> None:
        """Take tasks and start them."""
        async with self._taking:
            if self._runner.stopping or not self._active.is_set():
                return
            self._dequeues += 1
            owner = f"{self._config.server_id}/{self._dequeues}"
            for result in await self._port.dequeue(counts, owner=owner, lease_s=self._lease_s):
                if result.error is None:
                    self._accept(result)
                if (wakeup := self.wakeups.get(result.queue)) is not None:
                    _inform(wakeup, result)

    def _accept(self, result: DequeueResult) -> None:
        if self._runner.stopping:
            for lease in result.leases:
                self._completer.add(lease, REQUEUE)
        else:
            self.taken += len(result.leases)
            self._runner.start(result.leases, waited_s=result.waited_s)
        for lease in result.poison:
            log.error(UNREADABLE, lease.id, lease.queue)
            self._completer.add(lease, ARCHIVE_AS_IT_IS)
        if result.missing:
            log.error("dropped %d ids in %r that have no task", result.missing, result.queue)

    async def wait_until_empty(self) -> None:
        """Return when every queue was asked and found empty, and no task runs."""
        seen = -1
        while seen != self.taken:
            seen = self.taken
            self._emptied.clear()
            self.wakeups.wake()  # the tasks that have just run may have enqueued others
            await self._emptied.wait()
            await self.wait_until_finished()

    async def wait_until_finished(self) -> None:
        """Return when no dequeue is under way and no task runs."""
        async with self._taking:
            pass
        await self._runner.wait_until_finished()


def _inform(wakeup: Wakeup, result: DequeueResult) -> None:
    """Tell *wakeup* what its queue has answered."""
    if result.error is not None:
        wakeup.on_error(result.error, result.owner)
        return
    wakeup.on_answer(at_work=bool(result.leases) or result.paused)
    if result.paused:
        wakeup.on_paused()
    elif result.empty:
        wakeup.on_empty(took_some=bool(result.leases))
