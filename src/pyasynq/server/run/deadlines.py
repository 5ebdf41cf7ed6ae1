"""Stop runs whose time is over, and log those that do not stop.

One timer serves all runs; it is set to the earliest end. Most runs end long before, so a timer for
each (1.5 µs on the hot path) would almost always be wasted.
"""

import asyncio
import logging
import math
from collections.abc import Collection
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.options import DEFAULT_TIMEOUT
from pyasynq.runtime.clock import Clock, Timer
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import stack_of
from pyasynq.server.run.slots import Run, Stop

log: Final = get_logger("pyasynq.server")

DEFAULT_TIMEOUT_S: Final = DEFAULT_TIMEOUT.total_seconds()
"""Longest run of a task that has neither timeout nor deadline, as in asynq."""

STOP_GRACE_S: Final = 1.0
"""Time between the cancellation of an overdue handler and the log line that it does not stop."""


class Deadlines:
    """Stops runs at their deadline, or at the end of their lease."""

    def __init__(self, runs: Collection[Run], clock: Clock, *, slots: int, threads: int) -> None:
        """Watch *runs*: at most *slots* at once, *threads* of them plain functions."""
        self._runs = runs
        self._clock = clock
        self._slots = slots
        self._threads = threads
        self._hung: set[Run] = set()
        self._earliest = math.inf
        self._timer: Timer | None = None

    def watch(self, run: Run) -> None:
        """Stop *run* at its end."""
        earliest = self._earliest
        # The same as `run.ends_at < earliest`, but with fewer calls: this runs for every task.
        if run.active.ends_at < earliest or run.lease.expires_at < earliest:
            self._set_timer(run.ends_at)

    def watch_until(self, at: float) -> None:
        """Stop a run whose time was extended *at* its new end."""
        if at < self._earliest:
            self._set_timer(at)

    def on_handler_end(self, run: Run) -> None:
        """Note that the handler of *run* has ended, so that later steps do not count as overdue."""
        run.ended = True
        if run in self._hung and run.active.thread is None:  # else its thread still runs
            self._hung.remove(run)
            late_s = self._clock.monotonic() - run.deadline
            log.warning(
                "%s has ended, %.1f s after its time; %s", run, late_s, self._describe_held_slots()
            )

    def resize(self, *, slots: int, threads: int) -> None:
        """Watch at most *slots* runs from now on, *threads* of them plain functions."""
        self._slots, self._threads = slots, threads

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, at: float) -> None:
        self.close()
        self._earliest = at
        wait_s = max(0, at - self._clock.monotonic())
        self._timer = self._clock.call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        now = self._clock.monotonic()
        for run in self._runs:
            if run.deadline <= now:
                self._stop_overdue(run)
            elif run.lease.expires_at <= now:
                run.request_stop(Stop.LEASE_LOST)
        self._earliest = math.inf
        left = [run.ends_at for run in self._runs if run.stop is None]
        if left:
            self._set_timer(min(left))

    def _stop_overdue(self, run: Run) -> None:
        if run.stop is None:
            run.request_stop(Stop.DEADLINE)
            asyncio.get_running_loop().call_later(STOP_GRACE_S, self._report_overrun, run)

    def _report_overrun(self, run: Run) -> None:
        """Log that *run* does not stop, unless it has by now."""
        if run.ended or run not in self._runs:
            return
        self._hung.add(run)
        thread = run.active.thread
        why = (
            "catches its cancellation" if thread is None else "runs on: a thread cannot be stopped"
        )
        log.log(
            logging.ERROR if self._describe_shortage() else logging.WARNING,
            "the time of %s is over, but its handler %s; it keeps its slot until it ends; %s%s",
            run,
            why,
            self._describe_held_slots(),
            f"\n{stack_of(thread)}" if thread is not None else "",
        )

    def _describe_shortage(self) -> str:
        """Return what cannot run for lack of slots or threads; empty if enough are left."""
        if len(self._hung) >= self._slots:
            return ", so no task is taken"
        in_threads = sum(run.active.thread is not None for run in self._hung)
        return ", so no plain function is called" if in_threads >= self._threads else ""

    def _describe_held_slots(self) -> str:
        held, shortage = len(self._hung), self._describe_shortage()
        return f"overdue handlers hold {held} of {self._slots} slots{shortage}"


def seconds_to_run(lease: Lease) -> float:
    """Return the seconds a run may take.

    Source:
        Protocol section 6.4 (asynq v0.26.0 ``processor.computeDeadline``).
    """
    message = lease.message
    if not message.deadline:
        return message.timeout or DEFAULT_TIMEOUT_S
    left_s = message.deadline - lease.taken_at_s
    return min(left_s, message.timeout) if message.timeout else left_s
