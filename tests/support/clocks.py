"""Clocks for tests: one that a test moves, one that is wrong, one that does not wait."""

import asyncio
from datetime import UTC, datetime, timedelta

from pyasynq import Clock

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

NOTHING = timedelta(0)

MOMENT_S = 0.01


class SteeredClock(Clock):
    """Stands still until a test advances it; then it wakes the sleepers that are due."""

    def __init__(self, now: datetime = NOON) -> None:
        """Start at *now*; the monotonic time is zero."""
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
        """Wait for the next call of `sleep` and return its seconds; returns each call once."""
        return await self._sleeps.get()

    def advance(self, **span: float) -> None:
        """Advance by *span*, such as ``minutes=5``."""
        self._now += timedelta(**span)
        for due, woken in self._sleepers:
            if due <= self._now:
                woken.set()


class ShiftedClock(Clock):
    """The machine's clock, set ahead by a test, or behind if negative.

    Attributes:
        wall: Added to the time of day.
        passed: Added to the monotonic time.
    """

    def __init__(self, wall: timedelta = NOTHING) -> None:
        """Shift the time of day by *wall*."""
        self.wall = wall
        self.passed = NOTHING

    def now(self) -> datetime:
        return super().now() + self.wall

    def monotonic(self) -> float:
        return super().monotonic() + self.passed.total_seconds()


class HastyClock(Clock):
    """The machine's clock, but no sleep takes longer than `MOMENT_S`; records each sleep."""

    def __init__(self) -> None:
        """Start without recorded sleeps."""
        self.sleeps: list[float] = []
        """The requested seconds of each sleep."""

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await super().sleep(min(seconds, MOMENT_S))
