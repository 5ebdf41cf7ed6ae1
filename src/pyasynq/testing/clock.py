"""A clock that stands still until a test moves it."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from pyasynq.core.errors import OptionError
from pyasynq.core.options import check_instant
from pyasynq.runtime.clock import Clock


class TravelClock(Clock):
    """A clock that stands still until a test moves it; the time of day and `monotonic` go together.

    Nobody waits longer than on a real clock: who waits one second, or has one second for a task,
    does so for one real second, unless the test moves the clock sooner. Then the clock stands at
    the end of that second.
    """

    def __init__(self, now: datetime | None = None) -> None:
        """Stand at *now*; None for the next full second of the real time.

        Brokers store whole seconds, so a task that is due in 10 s is due when the clock has moved
        by 10 s.

        Raises:
            OptionError: If *now* has no time zone.
        """
        self._now = _next_second() if now is None else check_instant("now", now)
        self._zero = self._now - timedelta(seconds=time.monotonic())
        self._timers: set[_Timer] = set()

    def now(self) -> datetime:
        """Return the instant at which the clock stands, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that move with `now`."""
        return (self._now - self._zero).total_seconds()

    def travel_to(self, instant: datetime) -> None:
        """Move to *instant*, and call all timers that are due by then, each in its event loop.

        Raises:
            OptionError: If it is in the past of this clock, or has no time zone.
        """
        instant = check_instant("instant", instant)
        if instant < self._now:
            raise OptionError("instant", instant, f"{self._now} or later: time goes forward only")
        self._now = instant
        for timer in list(self._timers):
            if timer.due <= instant:
                timer.ring_soon()

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was moved by *seconds*, or after that number of real seconds."""
        woken = asyncio.Event()
        timer = self.call_later(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, call: Callable[[], object]) -> "_Timer":
        """Call *call* in the running event loop when `sleep` would return."""
        return _Timer(self, self._timers, seconds, call)

    @contextmanager
    def everywhere(self) -> Generator[None]:
        """While the block runs, let every plain `Clock` of the process tell the time of this one.

        Clients, schedulers and outboxes that exist already have such clocks. A clock that is
        replaced in its class costs nothing while no test runs.
        """
        names = ("now", "monotonic", "sleep", "call_later")
        methods: dict[str, Any] = {name: staticmethod(getattr(self, name)) for name in names}
        with mock.patch.multiple(Clock, **methods):
            yield


def _next_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)


class _Timer:
    """Makes a call after real seconds, or once the clock is moved past its time.

    Attributes:
        due: Its time on the clock.
    """

    def __init__(
        self, clock: TravelClock, waiting: "set[_Timer]", seconds: float, call: Callable[[], object]
    ) -> None:
        self.due: datetime = clock.now() + timedelta(seconds=seconds)
        self._clock = clock
        self._waiting = waiting
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.call_later(seconds, self._ring)
        waiting.add(self)

    def cancel(self) -> None:
        self._real.cancel()
        self._waiting.discard(self)

    def ring_soon(self) -> None:
        """Make the call at the next turn of the loop; may be called in any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        if self not in self._waiting:
            return
        self.cancel()
        if self.due > self._clock.now():  # it is due in reality
            self._clock.travel_to(self.due)
        self._call()
