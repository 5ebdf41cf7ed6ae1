"""A clock that a test steers, and a look at what a scheduler does by it."""

import asyncio
from datetime import UTC, datetime, timedelta

from pyasynq import Clock, Scheduler
from pyasynq.scheduler.heartbeater import Heartbeater
from pyasynq.scheduler.ticker import Ticker

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class SteeredClock(Clock):
    """Stands still until a test moves it on; then wakes who has slept long enough."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        await woken.wait()

    def advance(self, **span: float) -> None:
        """Move on by *span*: ``minutes=5``."""
        self._now += timedelta(**span)
        for due, woken in self._sleepers:
            if due <= self._now:
                woken.set()


def ticker_of(scheduler: Scheduler) -> Ticker:
    """Return the actor that enqueues."""
    return scheduler._ticker


def heartbeater_of(scheduler: Scheduler) -> Heartbeater:
    """Return the actor that shows the entries."""
    return scheduler._heartbeater


async def later(scheduler: Scheduler, clock: SteeredClock, **span: float) -> float:
    """Move the clock on, let the scheduler enqueue what is due, return how long it would wait."""
    clock.advance(**span)
    return await ticker_of(scheduler).step()
