"""Actors: loops that go on after errors, and the log of outages that they share.

Servers, schedulers and relays consist of actors.
"""

import asyncio
import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol

from pyasynq.core.errors import BrokerError
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.concurrency_limit import ConcurrencyLimit
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import is_cancel_request
from pyasynq.runtime.waiting import wait_for_first

log: Final = get_logger("pyasynq.actor")

JITTER: Final = 0.1
"""Random part of a wait, so that servers started together do not act together."""

FIRST_BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 2.0


class OutageLog:
    """Logs once that a broker fails and once that it is back, however many actors notice.

    Attributes:
        name: Name of the broker.
    """

    def __init__(
        self, name: str = "the broker", report: Callable[[Exception | None], None] | None = None
    ) -> None:
        """Begin without a failure.

        Args:
            name: Name of the broker, for the log.
            report: Called with the error of a new failure, and with None once all works again;
                None writes to the log.
        """
        self.name: str = name
        self._report = report or self._log
        self._failing: dict[str, type[Exception]] = {}

    def record_failure(self, actor: str, error: Exception) -> None:
        """Note that *actor* got *error*."""
        if type(error) not in self._failing.values():
            self._report(error)
        self._failing[actor] = type(error)

    def record_success(self, actor: str) -> None:
        """Note that *actor* got an answer."""
        if self._failing.pop(actor, None) and not self._failing:
            self._report(None)

    def _log(self, error: Exception | None) -> None:
        if error is None:
            log.info("%s answers again", self.name)
        else:
            log.warning("%s; trying again until it works", error)


class Backoff:
    """Growing waits after failures: 0.1 s doubling to 2 s, each shortened at random."""

    def __init__(self) -> None:
        """Begin with the shortest wait."""
        self._next_s = FIRST_BACKOFF_S

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next_s = FIRST_BACKOFF_S

    def next_s(self) -> float:
        """Return the seconds to wait now, and wait longer the next time."""
        wait_s = self._next_s * random.uniform(0.5, 1)
        self._next_s = min(self._next_s * 2, LONGEST_BACKOFF_S)
        return wait_s


class StepSignal:
    """Counts the steps of an actor; a test awaits the next one instead of sleeping."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.count: int = 0
        self._waiting: list[asyncio.Future[None]] = []

    def finish(self) -> None:
        """Note that a step has finished."""
        self.count += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def next(self) -> None:
        """Return when the next step has finished."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class Actor(ABC):
    """One repeated job of a server, a scheduler or a relay.

    Attributes:
        name: Name of the job in logs.
        failures: Errors that mean an outage, of Redis for instance; any other error is a crash.
        steps: Signals each finished step.
        jitter: Random part of a wait, 0 to 1.
        limit: Limits how many actors of different queues take a step at once; None for no limit.
    """

    name: str
    failures: tuple[type[Exception], ...] = (BrokerError,)
    jitter = JITTER
    limit: ConcurrencyLimit | None = None

    def __init__(self, *, clock: Clock, outages: OutageLog) -> None:
        """Sleep by *clock*; record failures and successes in *outages*."""
        self.steps: StepSignal = StepSignal()
        self._clock = clock
        self._outages = outages

    @abstractmethod
    async def step(self) -> float:
        """Do the job once; return the seconds to wait before the next time."""

    async def run(self) -> None:
        """Do the job until cancelled; during an outage try again, after growing waits."""
        backoff = Backoff()
        while True:
            try:
                wait_s = await self._next_step()
            except self.failures as error:
                self._outages.record_failure(self.name, error)
                self.steps.finish()
                await self._clock.sleep(backoff.next_s())  # `wake` cannot end an outage
            else:
                self._outages.record_success(self.name)
                backoff.reset()
                self.steps.finish()
                await self._sleep(wait_s * (1 - self.jitter * random.random()))

    def close(self) -> None:  # noqa: B027 - most actors have nothing
        """Release what outlives `run`: threads, for instance."""

    async def _next_step(self) -> float:
        async with self._limit_slot():
            return await self.step()

    def _limit_slot(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self.limit is None else self.limit.slot()

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Wakeable(Actor):
    """An actor whose wait `wake` cuts short, and whose last step `finish` waits for."""

    def __init__(self, *, clock: Clock, outages: OutageLog) -> None:
        """Sleep by *clock*; record failures and successes in *outages*."""
        super().__init__(clock=clock, outages=outages)
        self._woken = asyncio.Event()
        self._stepping = asyncio.Lock()
        self._over = False

    def wake(self) -> None:
        """Begin the next step now, or once the current one has ended."""
        self._woken.set()

    async def finish(self) -> None:
        """Return when no step is running; `run` begins no other."""
        if not self._over:
            await self._stepping.acquire()
            self._over = True

    async def _next_step(self) -> float:
        async with self._stepping:
            return await super()._next_step()

    async def _sleep(self, seconds: float) -> None:
        await wait_for_first(self._woken.wait(), super()._sleep(seconds))
        self._woken.clear()


class OnCall(Wakeable):
    """An actor that takes a step only when it is woken, or again after a failure.

    The seconds that a step returns are for those who take the steps themselves.
    """

    async def run(self) -> None:
        """Do the job whenever it is woken, until cancelled."""
        await self._sleep(0)
        await super().run()

    async def _sleep(self, seconds: float) -> None:
        del seconds
        await self._woken.wait()
        self._woken.clear()


class Runnable(Protocol):
    """What `run_forever` runs: an actor, or an object with its own loop."""

    name: str

    async def run(self) -> None:
        """Run until cancelled, or until the work is done."""
        ...


async def run_forever(actor: Runnable) -> None:
    """Run *actor*; log a crash and start it again.

    A cancellation that nobody requested counts as a crash: else it would end this actor silently.
    """
    backoff = Backoff()
    while True:
        try:
            return await actor.run()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancel_request(error):
                raise
            log.exception("the %s crashed; it starts again", actor.name)
            await asyncio.sleep(backoff.next_s())


async def cancel_and_wait(jobs: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *jobs* until all have ended.

    One cancellation may not be enough: on Python 3.11 ``wait_for``, which the driver uses, can
    swallow a cancellation that comes together with its result.
    """
    await run_to_end(functools.partial(_cancel_until_done, set(jobs)))


async def _cancel_until_done(left: set[asyncio.Task[None]]) -> None:
    while left:
        for job in left:
            job.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)
