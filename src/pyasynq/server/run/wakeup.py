"""Find out which queues may have tasks, without polling."""

import asyncio
import functools
import random
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from pyasynq.broker import WorkPort
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import Backoff, OutageLog
from pyasynq.runtime.clock import Clock

PAUSED_S: Final = 1.0
"""A paused queue is asked once a second."""

LONGEST_MISS_S: Final = 0.05
"""Longest wait after a wake-up that found no task because another server was faster."""


class Wakeup:
    """Watches one queue while it is empty.

    Attributes:
        queue: Name of the queue.
        ready: Whether the queue may have tasks, so that the processor must ask it.
        error: The last answer, if it was an error, so that it is unknown if it has tasks.
    """

    def __init__(
        self,
        queue: str,
        *,
        port: WorkPort,
        notified: asyncio.Event,
        clock: Clock,
        outages: OutageLog,
    ) -> None:
        """Set *notified* whenever *queue* becomes ready."""
        self.queue = queue
        self.ready: bool = True
        self.error: BrokerError | None = None
        self.name: str = f"wake-up of {queue!r}"
        self._port = port
        self._notified = notified
        self._clock = clock
        self._outages = outages
        self._waiting = asyncio.Event()
        self._paused = False
        self._misses = 0
        self._unanswered: list[str] = []
        self._backoff = Backoff()

    def on_answer(self, *, at_work: bool) -> None:
        """Note an answer to a dequeue.

        An empty queue counts as working again only once the server can block on it, too. A full
        Redis refuses to block: otherwise the server would ask, and log that Redis is back, ten
        times a second.

        Args:
            at_work: Whether the queue gave tasks, or is paused.
        """
        self.error = None
        if at_work:
            self._record_success()

    def on_error(self, error: BrokerError, owner: str) -> None:
        """Stop asking for a while, then put back what the failed dequeue of *owner* has taken."""
        self.error = error
        self._unanswered.append(owner)
        self._outages.record_failure(self.name, error)
        self._start_waiting(paused=False)

    def on_empty(self, *, took_some: bool) -> None:
        """Block on the queue, which had fewer tasks than were asked for."""
        self._misses = 0 if took_some else self._misses + 1
        self._start_waiting(paused=False)

    def on_paused(self) -> None:
        """Stop asking for a while; a paused queue may have tasks, so blocking on it is no use."""
        self._start_waiting(paused=True)

    async def run(self) -> None:
        """Wait for tasks whenever the queue is not ready, until cancelled."""
        while True:
            await self._waiting.wait()
            try:
                await (self._recover_lost_dequeues() if self.error else self._wait())
            except BrokerError as error:
                self._outages.record_failure(self.name, error)
                self.error = error

    def _record_success(self) -> None:
        self._backoff.reset()
        self._outages.record_success(self.name)

    def _start_waiting(self, *, paused: bool) -> None:
        self.ready = False
        self._paused = paused
        self._waiting.set()

    async def _recover_lost_dequeues(self) -> None:
        """After a wait, put back the tasks of lost dequeues, and mark the queue ready.

        The processor then asks the queue whatever the error was: a full Redis refuses to block, but
        still gives out tasks.
        """
        await self._clock.sleep(self._backoff.next_s())
        while self._unanswered:
            await self._port.undo_dequeue(self.queue, self._unanswered[-1])
            self._unanswered.pop()
        self._wake()

    async def _wait(self) -> None:
        """Mark the queue ready once it may have tasks; return after a while in any case."""
        if self._paused:
            await self._clock.sleep(PAUSED_S)
            self._wake()
            return
        if self._misses > 1:
            longest_s = min(LONGEST_MISS_S, 0.001 * 2 ** min(self._misses, 10))
            await self._clock.sleep(random.uniform(0, longest_s))
        has_tasks = await self._port.wait(self.queue)
        self._record_success()
        if has_tasks:
            self._wake()

    def _wake(self) -> None:
        self._waiting.clear()
        self.ready = True
        self._notified.set()


class Wakeups:
    """The wake-ups of all queues of a server."""

    def __init__(
        self, queues: Iterable[str], port: WorkPort, *, clock: Clock, outages: OutageLog
    ) -> None:
        """Watch *queues*, all of them ready at first."""
        self._notified = asyncio.Event()
        self._make = functools.partial(
            Wakeup, port=port, notified=self._notified, clock=clock, outages=outages
        )
        self._all = {queue: self._make(queue) for queue in queues}

    def watch(self, queues: Collection[str]) -> tuple[list[Wakeup], list[Wakeup]]:
        """Watch *queues* from now on, and no others; return new and former wake-ups."""
        new = {queue: self._make(queue) for queue in queues if queue not in self._all}
        former = [self._all.pop(queue) for queue in [*self._all] if queue not in queues]
        self._all |= new
        self._notified.set()
        return list(new.values()), former

    def __iter__(self) -> Iterator[Wakeup]:
        """Yield each queue's wake-up."""
        return iter(self._all.values())

    def __getitem__(self, queue: str) -> Wakeup:
        """Return the wake-up of *queue*."""
        return self._all[queue]

    def get(self, queue: str) -> Wakeup | None:
        """Return the wake-up of *queue*; None if it is no longer watched."""
        return self._all.get(queue)

    def ready(self) -> list[str]:
        """Return the queues that may have tasks."""
        return [queue for queue, wakeup in self._all.items() if wakeup.ready]

    def failing(self) -> bool:
        """Return whether the last answer of any queue was an error."""
        return any(wakeup.error is not None for wakeup in self)

    def problem(self) -> str | None:
        """Return why no queue can be asked for tasks; None if any can, or if there is no queue."""
        errors = [wakeup.error for wakeup in self]
        return None if None in errors or not errors else str(errors[0])

    def wake(self) -> None:
        """Mark every queue ready."""
        for wakeup in self:
            wakeup.ready = True
        self._notified.set()

    def notify(self) -> None:
        """Make `wait` return."""
        self._notified.set()

    async def wait(self) -> None:
        """Return when a queue is ready, or `notify` is called."""
        self._notified.clear()
        if not self.ready():
            await self._notified.wait()
