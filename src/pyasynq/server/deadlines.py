"""Stop runs whose time is over.

One timer for all of them, set to the earliest end. Most runs end long before, so a timer of their
own (1.5 µs each on the hot path) would almost always be thrown away.
"""

import asyncio
import math
from collections.abc import Collection

from pyasynq.clock import Clock
from pyasynq.server.slots import Run, Stop


class Deadlines:
    """Tells runs to stop at their deadline, or when their lease is over."""

    def __init__(self, runs: Collection[Run], clock: Clock) -> None:
        """Watch *runs*, which change."""
        self._runs = runs
        self._clock = clock
        self._earliest = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, run: Run) -> None:
        """See to it that *run* ends in time."""
        earliest = self._earliest
        if run.deadline < earliest or run.lease.expires_at < earliest:
            self._set(run.ends_at)

    def close(self) -> None:
        """Set no timer any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, at: float) -> None:
        self.close()
        self._earliest = at
        wait_s = max(0, at - self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def _ring(self) -> None:
        now = self._clock.monotonic()
        for run in self._runs:
            if run.deadline <= now:
                run.tell(Stop.DEADLINE)
            elif run.lease.expires_at <= now:
                run.tell(Stop.LEASE_LOST)
        self._earliest = math.inf
        left = [run.ends_at for run in self._runs if run.stop is None]
        if left:
            self._set(min(left))
