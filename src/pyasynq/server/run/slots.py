"""How many more tasks may run, and what is running."""

import asyncio
import functools
import sys
from enum import Enum
from typing import Final

from pyasynq.broker import Lease
from pyasynq.core.control import (
    DeadlinePassedError,
    HandlerNotFoundError,
    LeaseExpiredError,
    TaskCanceledError,
    TaskTimeoutError,
)
from pyasynq.core.message import instant
from pyasynq.server.context import ActiveTask

# The constructor and not create_task, which costs as much again; where Python can do that, a
# handler starts at once, without a turn of the loop.
if sys.version_info >= (3, 12):
    Job = functools.partial(asyncio.Task, eager_start=True)
else:
    Job = asyncio.Task


class Slots:
    """Places for running tasks. A slot is held until its handler has really ended."""

    def __init__(self, count: int) -> None:
        """Begin with *count* free slots."""
        self.free: int = count
        self._freed = asyncio.Event()

    async def wait(self) -> int:
        """Return how many slots are free, once one is."""
        while not self.free:
            self._freed.clear()
            await self._freed.wait()
        return self.free

    def take(self, count: int) -> None:
        """Hold *count* slots."""
        self.free -= count

    def release(self) -> None:
        """Free one slot."""
        if not self.free:  # else nobody waits
            self._freed.set()
        self.free += 1


class Stop(Enum):
    """Why a run was told to stop."""

    DEADLINE = "its deadline passed"
    LEASE_LOST = "its lease was lost"
    CANCELED = "an operator canceled it"
    SHUTDOWN = "the server is shutting down"


LEAVING: Final = (Stop.LEASE_LOST, Stop.SHUTDOWN)
"""Reasons after which another server runs the task."""


FAILING: Final = (Stop.DEADLINE, Stop.CANCELED)
"""Reasons after which the task has failed, unless its handler succeeds all the same."""


class Run:
    """One task being run.

    Attributes:
        lease: The right to run it.
        active: What its handler sees.
        job: The asyncio task of its handler.
        started: Its handler was called. A job cancelled before that would not even clean up.
        ended: Its handler has ended; not noted of one that did well in its time.
        stop: Why it was told to stop, or None.
    """

    __slots__ = ("active", "ended", "job", "lease", "started", "stop")

    def __init__(self, lease: Lease, active: ActiveTask, deadline: float) -> None:
        """Run the task of *lease* until *deadline*."""
        self.lease: Lease = lease
        self.active: ActiveTask = active
        active.ends_at = deadline
        self.job: asyncio.Task[None] | None = None
        self.started: bool = False
        self.ended: bool = False
        self.stop: Stop | None = None

    def __repr__(self) -> str:
        """Name the task, for the log."""
        return repr(self.lease)

    @property
    def deadline(self) -> float:
        """End of its time, on the monotonic clock."""
        return self.active.ends_at

    @property
    def ends_at(self) -> float:
        """When the run must end by itself: its deadline or the end of its lease."""
        return min(self.deadline, self.lease.expires_at)

    def tell(self, stop: Stop) -> None:
        """Tell the handler to stop; once, but again for a reason that leaves the task to others.

        A run whose time was over, or that was canceled, before the server stops has failed: its
        task does not go back as if it had never run.
        """
        told = self.stop is not None
        if not told or (stop in LEAVING and self.stop not in LEAVING):
            if not told or stop is not Stop.SHUTDOWN:
                self.stop = stop
            self.active.cancelled = True
            self.active.overdue = stop is Stop.DEADLINE or self.active.overdue
            # Told again, it would no longer wait for the end of its thread.
            waits_for_thread = told and self.active.thread is not None
            if self.started and self.job is not None and not waits_for_thread:
                self.job.cancel()


def stop_error(run: Run) -> Exception:
    """Return what a task failed with that was stopped."""
    match run.stop:
        case Stop.DEADLINE if run.lease.unknown_s is not None and not run.started:
            return HandlerNotFoundError(run.lease.message.type)
        case Stop.DEADLINE if 0 < run.lease.message.deadline <= run.lease.taken_at_s:
            return DeadlinePassedError(instant(run.lease.message.deadline))
        case Stop.DEADLINE:
            return TaskTimeoutError()
        case Stop.LEASE_LOST:
            return LeaseExpiredError()
        case _:
            return TaskCanceledError()
