"""Run suspects one at a time: tasks that are archived if their worker crashes once more.

If two ran together, a crash that one of them caused would archive both.
"""

import random
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.verdict import Retry, is_suspect
from pyasynq.runtime.clock import Clock
from pyasynq.server.run.slots import Run

SHORTEST_APART_S: Final = 0.5
LONGEST_APART_S: Final = 60.0
"""Bounds of the time that the running suspect has run; another one waits 1 to 2 times as long."""


class Suspects:
    """Knows which suspect runs."""

    def __init__(self, runs: Collection[Run], clock: Clock, max_crashes: int) -> None:
        """Watch *runs*; tasks are archived after *max_crashes* crashes in a row."""
        self._runs = runs
        self._clock = clock
        self._max_crashes = max_crashes
        self._running: Run | None = None

    def put_off(self, lease: Lease) -> Retry | None:
        """Return the verdict that tries *lease* later if another suspect runs, else None."""
        running = self._running
        if running is None or running not in self._runs or not self._is_suspect(lease):
            return None
        now = self._clock.now()
        ran_s = now.timestamp() - running.lease.taken_at_s
        wait_s = min(max(ran_s, SHORTEST_APART_S), LONGEST_APART_S) * random.uniform(1, 2)
        return Retry(
            message=lease.message,
            at=now + timedelta(seconds=wait_s),
            failed=False,
            crashes=lease.crashes,
            unknown=lease.unknown_s is not None,
        )

    def note(self, run: Run) -> None:
        """Remember *run* as the running suspect, if it is one."""
        if self._is_suspect(run.lease):
            self._running = run

    def _is_suspect(self, lease: Lease) -> bool:
        return is_suspect(lease.message, crashes=lease.crashes, most=self._max_crashes)
