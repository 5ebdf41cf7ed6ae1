"""What all actors share: a loop that outlives its errors, and one voice about what is away.

Servers, schedulers and relays are made of actors.
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
from pyasynq.runtime.threads import is_ordered
from pyasynq.runtime.waiting import wait_for_first

log: Final = get_logger("pyasynq.actor")

JITTER: Final = 0.1
"""Part of a wait that is random, so that servers started together do not act together."""

FIRST_BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 2.0


class OutageLog:
    """Says once that a broker fails and once that it is back, however many actors notice.

    Attributes:
        name: Its name.
    """

    def __init__(
        self, name: str = "the broker", tell: Callable[[Exception | None], None] | None = None
    ) -> None:
        """Begin with *name* believed to be well; *tell* says it of whatever else fails."""
        self.name: str = name
        self._tell = tell or self._log
        self._failing: dict[str, type[Exception]] = {}

    def failed(self, actor: str, error: Exception) -> None:
        """Note that *actor* got *error*."""
        if type(error) not in self._failing.values():
            self._tell(error)
        self._failing[actor] = type(error)

    def worked(self, actor: str) -> None:
        """Note that *actor* was answered."""
        if self._failing.pop(actor, None) and not self._failing:
            self._tell(None)

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
    """Counts an actor's passes; a test awaits the next one instead of sleeping."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.count: int = 0
        self._waiting: list[asyncio.Future[None]] = []

    def finish(self) -> None:
        """Note that a pass has finished."""
        self.count += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def next(self) -> None:
        """Return when the next pass has finished."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class Actor(ABC):
    """One job of a server, a scheduler or a relay, done again and again.

    Attributes:
        name: What the job is called in logs.
        failures: Errors which mean that what it talks to is away; any other is a crash.
        passes: Signals each finished pass.
        jitter: Part of a wait that is random.
        limit: What it shares with others that do the same for other queues; None if with nobody.
    """

    name: str
    failures: tuple[type[Exception], ...] = (BrokerError,)
    jitter = JITTER
    limit: ConcurrencyLimit | None = None

    def __init__(self, *, clock: Clock, outages: OutageLog) -> None:
        """Sleep by *clock*; report to *link* what fails and what works."""
        self.steps: StepSignal = StepSignal()
        self._clock = clock
        self._outages = outages

    @abstractmethod
    async def step(self) -> float:
        """Do the job once; return the seconds to wait before the next time."""

    async def run(self) -> None:
        """Do the job until cancelled; what is away only makes the next time come later."""
        backoff = Backoff()
        while True:
            try:
                wait_s = await self._next_step()
            except self.failures as error:
                self._outages.failed(self.name, error)
                self.steps.finish()
                await self._clock.sleep(backoff.next_s())  # to be woken would bring nothing back
            else:
                self._outages.worked(self.name)
                backoff.reset()
                self.steps.finish()
                await self._rest(wait_s * (1 - self.jitter * random.random()))

    def close(self) -> None:  # noqa: B027 - most actors have nothing
        """Let go of what outlives `run`: threads, for instance."""

    async def _next_step(self) -> float:
        async with self._turn():
            return await self.step()

    def _turn(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self.limit is None else self.limit.slot()

    async def _rest(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Wakeable(Actor):
    """An actor whose wait can be cut short, and whose step can be waited for."""

    def __init__(self, *, clock: Clock, outages: OutageLog) -> None:
        """Sleep by *clock*; report to *link* what fails and what works."""
        super().__init__(clock=clock, outages=outages)
        self._woken = asyncio.Event()
        self._stepping = asyncio.Lock()
        self._over = False

    def wake(self) -> None:
        """Begin the next step now, or once the present one is done."""
        self._woken.set()

    async def finish(self) -> None:
        """Return when no step is under way; `run` begins none any more."""
        if not self._over:
            await self._stepping.acquire()
            self._over = True

    async def _next_step(self) -> float:
        async with self._stepping:
            return await super()._next_step()

    async def _rest(self, seconds: float) -> None:
        await wait_for_first(self._woken.wait(), super()._rest(seconds))
        self._woken.clear()


class Runnable(Protocol):
    """What is kept running: an actor, or something with a loop of its own."""

    name: str

    async def run(self) -> None:
        """Run until cancelled, or until the work is over."""
        ...


async def run_forever(actor: Runnable) -> None:
    """Run *actor*; a crash is logged, and it starts again.

    So is a cancellation that nobody ordered: it would end the actor alone, and without a word.
    """
    backoff = Backoff()
    while True:
        try:
            return await actor.run()
        except (Exception, asyncio.CancelledError) as error:
            if is_ordered(error):
                raise
            log.exception("the %s crashed; it starts again", actor.name)
            await asyncio.sleep(backoff.next_s())


async def cancel_and_wait(jobs: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *jobs* until they are gone.

    Once may not be enough: on Python 3.11 ``wait_for``, which the driver uses, can swallow a
    cancellation that comes together with its result.
    """
    await run_to_end(functools.partial(_dismiss, set(jobs)))


async def _dismiss(left: set[asyncio.Task[None]]) -> None:
    while left:
        for job in left:
            job.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)
