"""Keep those tasks apart that one more crash of their worker gives up.

Of them one runs at a time: with another beside it, the innocent would be given up with the guilty.
"""

import random
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.verdict import is_suspect
from pyasynq.runtime.clock import Clock
from pyasynq.server.run.slots import Run

SHORTEST_APART_S: Final = 0.5
LONGEST_APART_S: Final = 60.0
"""A suspect waits for another as long as that has run already, or so."""


class Suspects:
    """Knows the one that runs."""

    def __init__(self, runs: Collection[Run], clock: Clock, max_crashes: int) -> None:
        """Look at *runs*, of tasks that are given up after *max_crashes* in a row."""
        self._runs = runs
        self._clock = clock
        self._max_crashes = max_crashes
        self._running: Run | None = None

    def put_off(self, lease: Lease) -> datetime | None:
        """Return when *lease* may be tried again, if it must not run beside the one that does."""
        running = self._running
        if running is None or running not in self._runs or not self._is_suspect(lease):
            return None
        now = self._clock.now()
        ran_s = now.timestamp() - running.lease.taken_at_s
        wait_s = min(max(ran_s, SHORTEST_APART_S), LONGEST_APART_S) * random.uniform(1, 2)
        return now + timedelta(seconds=wait_s)

    def note(self, run: Run) -> None:
        """Take *run* for the one that runs, if it is a suspect."""
        if self._is_suspect(run.lease):
            self._running = run

    def _is_suspect(self, lease: Lease) -> bool:
        return is_suspect(lease.message, crashes=lease.crashes, most=self._max_crashes)
