"""Stop runs whose time is over, and name those that do not stop.

One timer for all of them, set to the earliest end. Most runs end long before, so a timer of their
own (1.5 µs each on the hot path) would almost always be thrown away.
"""

import asyncio
import logging
import math
from collections.abc import Collection
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.options import DEFAULT_TIMEOUT
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import stack_of
from pyasynq.server.run.slots import Run, Stop

log: Final = get_logger("pyasynq.server")

UNTOLD_S: Final = DEFAULT_TIMEOUT.total_seconds()
"""Longest run of a task that has neither timeout nor deadline, as in the reference."""

TO_END_S: Final = 1.0
"""Time that a handler has to end once its own is over, before it is named."""


class Deadlines:
    """Tells runs to stop at their deadline, or when their lease is over."""

    def __init__(self, runs: Collection[Run], clock: Clock, *, slots: int, threads: int) -> None:
        """Watch *runs*: *slots* at once at most, and of plain functions as many as *threads*."""
        self._runs = runs
        self._clock = clock
        self._slots = slots
        self._threads = threads
        self._hung: set[Run] = set()
        self._earliest = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, run: Run) -> None:
        """See to it that *run* ends in time."""
        earliest = self._earliest
        # As `ends_at` of a run has it, in fewer calls: this is asked for every task.
        if run.active.ends_at < earliest or run.lease.expires_at < earliest:
            self._set(run.ends_at)

    def watch_until(self, at: float) -> None:
        """See to it that a run whose time has become longer ends *at* its new end."""
        if at < self._earliest:
            self._set(at)

    def ended(self, run: Run) -> None:
        """Note that the handler of *run* has ended; what follows is not held against it."""
        run.ended = True
        if run in self._hung and run.active.thread is None:  # else nobody waits for it any more
            self._hung.remove(run)
            late_s = self._clock.monotonic() - run.deadline
            log.warning("%s has ended, %.1f s after its time; %s", run, late_s, self._held())

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
                self._end(run)
            elif run.lease.expires_at <= now:
                run.tell(Stop.LEASE_LOST)
        self._earliest = math.inf
        left = [run.ends_at for run in self._runs if run.stop is None]
        if left:
            self._set(min(left))

    def _end(self, run: Run) -> None:
        if run.stop is None:
            run.tell(Stop.DEADLINE)
            asyncio.get_running_loop().call_later(TO_END_S, self._name, run)

    def _name(self, run: Run) -> None:
        """Say that *run* outlives its time, if it still does."""
        if run.ended or run not in self._runs:
            return
        self._hung.add(run)
        thread = run.active.thread
        why = (
            "catches its cancellation" if thread is None else "runs on: a thread cannot be stopped"
        )
        log.log(
            logging.ERROR if self._none_left() else logging.WARNING,
            "the time of %s is over, but its handler %s; it keeps its slot until it ends; %s%s",
            run,
            why,
            self._held(),
            f"\n{stack_of(thread)}" if thread is not None else "",
        )

    def _none_left(self) -> str:
        """Say what cannot go on, for want of slots or threads; nothing if there are some."""
        if len(self._hung) >= self._slots:
            return ", so no task is taken"
        in_threads = sum(run.active.thread is not None for run in self._hung)
        return ", so no plain function is called" if in_threads >= self._threads else ""

    def _held(self) -> str:
        return f"slots held so: {len(self._hung)} of {self._slots}{self._none_left()}"


def seconds_to_run(lease: Lease) -> float:
    """Return the seconds a run may take.

    Source:
        Protocol section 6.4 (asynq v0.26.0 ``processor.computeDeadline``).
    """
    message = lease.message
    if not message.deadline:
        return message.timeout or UNTOLD_S
    left_s = message.deadline - lease.taken_at_s
    return min(left_s, message.timeout) if message.timeout else left_s
