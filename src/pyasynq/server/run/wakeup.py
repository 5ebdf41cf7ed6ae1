"""Know which queues may have tasks, without polling."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from typing import Final

from pyasynq.broker import WorkPort
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import Backoff, OutageLog
from pyasynq.runtime.clock import Clock

PAUSED_S: Final = 1.0
"""A paused queue is looked at once a second."""

LONGEST_MISS_S: Final = 0.05
"""Longest wait after a wake-up that found nothing, because another server was faster."""


class Wakeup:
    """Watches one queue while it is empty.

    Attributes:
        queue: Its name.
        ready: The queue may have tasks: ask it.
        failing: The last answer was an error: nobody knows what is in the queue.
    """

    def __init__(
        self, queue: str, port: WorkPort, rung: asyncio.Event, *, clock: Clock, outages: OutageLog
    ) -> None:
        """Set *rung* whenever *queue* becomes ready."""
        self.queue = queue
        self.ready: bool = True
        self.failing: bool = False
        self.name: str = f"wake-up of {queue!r}"
        self._port = port
        self._rung = rung
        self._clock = clock
        self._outages = outages
        self._asleep = asyncio.Event()
        self._paused = False
        self._misses = 0
        self._doubtful: list[str] = []
        self._backoff = Backoff()

    def answered(self, *, at_work: bool) -> None:
        """Note that the queue answers.

        An empty one is believed to be well only once it can be waited on, too: a Redis that is full
        refuses that, and would otherwise be asked, and said to be back, ten times a second.

        Args:
            at_work: It gave tasks, or is paused.
        """
        self.failing = False
        if at_work:
            self._works()

    def failed(self, error: BrokerError, owner: str) -> None:
        """Leave the queue alone for a while, then see whether *owner* took something after all."""
        self.failing = True
        self._doubtful.append(owner)
        self._outages.failed(self.name, error)
        self._fall_asleep(paused=False)

    def emptied(self, *, took_some: bool) -> None:
        """Block on the queue: it had fewer tasks than there were slots."""
        self._misses = 0 if took_some else self._misses + 1
        self._fall_asleep(paused=False)

    def paused(self) -> None:
        """Leave the queue alone for a while: it may be full, and would not block."""
        self._fall_asleep(paused=True)

    async def run(self) -> None:
        """Wait for tasks whenever the queue is asleep, until cancelled."""
        while True:
            await self._asleep.wait()
            try:
                await (self._make_sure() if self.failing else self._wait())
            except BrokerError as error:
                self._outages.failed(self.name, error)
                self.failing = True

    def _works(self) -> None:
        self._backoff.reset()
        self._outages.worked(self.name)

    def _fall_asleep(self, *, paused: bool) -> None:
        self.ready = False
        self._paused = paused
        self._asleep.set()

    async def _make_sure(self) -> None:
        """Wake after a while, when nothing is left that was taken without our knowing.

        Then the queue is asked whatever the error was: a Redis that is full refuses to block, and
        still gives out tasks.
        """
        await self._clock.sleep(self._backoff.next_s())
        while self._doubtful:
            await self._port.undo_dequeue(self.queue, self._doubtful[-1])
            self._doubtful.pop()
        self._wake()

    async def _wait(self) -> None:
        """Wake when the queue may have tasks, or return after a while to be called again."""
        if self._paused:
            await self._clock.sleep(PAUSED_S)
            self._wake()
            return
        if self._misses > 1:
            longest_s = min(LONGEST_MISS_S, 0.001 * 2 ** min(self._misses, 10))
            await self._clock.sleep(random.uniform(0, longest_s))
        has_tasks = await self._port.wait(self.queue)
        self._works()
        if has_tasks:
            self._wake()

    def _wake(self) -> None:
        self._asleep.clear()
        self.ready = True
        self._rung.set()


class Wakeups:
    """The wake-ups of all queues of a server."""

    def __init__(
        self, queues: Iterable[str], port: WorkPort, *, clock: Clock, outages: OutageLog
    ) -> None:
        """Watch *queues*, all of them ready at first."""
        self._rung = asyncio.Event()
        self._all = {q: Wakeup(q, port, self._rung, clock=clock, outages=outages) for q in queues}

    def __iter__(self) -> Iterator[Wakeup]:
        """Yield each queue's wake-up."""
        return iter(self._all.values())

    def __getitem__(self, queue: str) -> Wakeup:
        """Return the wake-up of *queue*."""
        return self._all[queue]

    def ready(self) -> list[str]:
        """Return the queues that may have tasks."""
        return [queue for queue, wakeup in self._all.items() if wakeup.ready]

    def failing(self) -> bool:
        """Return whether what is in some queue is not known."""
        return any(wakeup.failing for wakeup in self)

    def wake(self) -> None:
        """Have every queue looked at again."""
        for wakeup in self:
            wakeup.ready = True
        self._rung.set()

    def ring(self) -> None:
        """Let `rung` return."""
        self._rung.set()

    async def rung(self) -> None:
        """Return when a queue becomes ready, or somebody rings."""
        self._rung.clear()
        if not self.ready():
            await self._rung.wait()
