"""The clocks that tests bring: one that stands still, one that is wrong, one that does not wait."""

import asyncio
from datetime import UTC, datetime, timedelta

from pyasynq import Clock

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

NOTHING = timedelta(0)

MOMENT_S = 0.01


class SteeredClock(Clock):
    """Stands still until a test moves it on, which wakes all who have slept long enough."""

    def __init__(self, now: datetime = NOON) -> None:
        """Stand at *now*, at which nothing has passed."""
        self._now = self._start = now
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []
        self._sleeps: asyncio.Queue[float] = asyncio.Queue()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        self._sleeps.put_nowait(seconds)
        await woken.wait()

    async def next_sleep(self) -> float:
        """Return for how many seconds somebody sleeps, as soon as somebody does; each once."""
        return await self._sleeps.get()

    def advance(self, **span: float) -> None:
        """Move on by *span*: ``minutes=5``."""
        self._now += timedelta(**span)
        for due, woken in self._sleepers:
            if due <= self._now:
                woken.set()


class ShiftedClock(Clock):
    """The machine's clock, but for what a test sets it ahead, or, below zero, behind."""

    def __init__(self, wall: timedelta = NOTHING) -> None:
        """Be wrong by *wall* about the time of day; what has passed is right until it is set."""
        self.wall = wall
        self.passed = NOTHING

    def now(self) -> datetime:
        return super().now() + self.wall

    def monotonic(self) -> float:
        return super().monotonic() + self.passed.total_seconds()


class HastyClock(Clock):
    """The machine's clock, but that no sleep is longer than a moment; each is noted."""

    def __init__(self) -> None:
        """Begin with no sleep noted."""
        self.sleeps: list[float] = []
        """For how many seconds each was to be."""

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await super().sleep(min(seconds, MOMENT_S))
