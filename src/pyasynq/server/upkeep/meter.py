"""Measure the process of a server, for inspectors."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pyasynq.core.info import ProcessInfo
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.memory import read_memory

PERIOD_S: Final = 0.5
"""Time between two timers whose delay is measured."""

LEAST_S: Final = 1.0
"""Shortest time over which tasks are counted: some records are written right after another one."""


class Meter:
    """Measures how late the event loop is, how many tasks the server takes, and its memory."""

    name = "meter"

    def __init__(self, taken: Callable[[], int], *, clock: Clock) -> None:
        """Measure a server.

        Args:
            taken: Returns the number of tasks that it has taken.
            clock: Tells how much time has passed.
        """
        self._taken = taken
        self._clock = clock
        self._worst_s = 0.0
        self._at_s = clock.monotonic()
        self._count = 0
        self._per_s = 0.0

    async def run(self) -> None:
        """Measure how late timers are, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._worst_s = max(self._worst_s, loop.time() - due_s)

    def measure(self) -> ProcessInfo:
        """Return what was measured since the last call.

        The tasks per second are those of an earlier call if that was less than `LEAST_S` ago.
        """
        self._count_tasks()
        worst_s, self._worst_s = self._worst_s, 0.0
        return ProcessInfo(
            tasks_per_s=round(self._per_s, 2),
            loop_lag=timedelta(milliseconds=round(1000 * worst_s, 1)),
            memory=_memory(),
        )

    def _count_tasks(self) -> None:
        now_s, count = self._clock.monotonic(), self._taken()
        if (passed_s := now_s - self._at_s) >= LEAST_S:
            self._per_s = (count - self._count) / passed_s
            self._at_s, self._count = now_s, count


def _memory() -> int | None:
    """Return the memory of this process; None if the system does not say it now.

    A process that has opened as many files as it may reads none, but still shows itself.
    """
    if sys.platform == "win32":
        return None
    try:
        return read_memory()
    except OSError:
        return None
