"""Slots for running tasks, and the running tasks."""

import asyncio
import functools
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

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

if TYPE_CHECKING:
    from pyasynq.core.compose import Plan

# `create_task` would cost twice as much as the constructor. Where Python can do that, a handler
# starts at once, not on the next turn of the loop.
if sys.version_info >= (3, 12):
    Job = functools.partial(asyncio.Task, eager_start=True)
else:
    Job = asyncio.Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLoad:
    """How busy a server is now.

    Attributes:
        slots: Tasks that may run at once.
        busy: Slots that are in use.
        overdue: Slots in use by tasks whose timeout or deadline has passed.
        overdue_threads: Those of them whose plain function still runs in a thread, which cannot be
            stopped.
        taken: Tasks taken since the start.
    """

    slots: int
    busy: int = 0
    overdue: int = 0
    overdue_threads: int = 0
    taken: int = 0


class Slots:
    """Counts the free slots for tasks. A task holds its slot until its handler has really ended.

    Attributes:
        count: Number of slots.
        free: Number of free slots; negative while more tasks run than there are slots.
    """

    def __init__(self, count: int) -> None:
        """Begin with *count* free slots."""
        self.count: int = count
        self.free: int = count
        self._freed = asyncio.Event()

    def resize(self, count: int) -> None:
        """Have *count* slots from now on; running tasks keep theirs."""
        self.free += count - self.count
        self.count = count
        if self.free > 0:
            self._freed.set()

    async def wait(self) -> int:
        """Wait until a slot is free; return the number of free slots."""
        while self.free <= 0:
            self._freed.clear()
            await self._freed.wait()
        return self.free

    def take(self, count: int) -> None:
        """Take *count* slots."""
        self.free -= count

    def release(self) -> None:
        """Free one slot."""
        if not self.free:  # else `wait` returns at once
            self._freed.set()
        self.free += 1


class Stop(Enum):
    """Reason to stop a run."""

    DEADLINE = "its deadline passed"
    LEASE_LOST = "its lease was lost"
    CANCELED = "an operator canceled it"
    SHUTDOWN = "the server is shutting down"


LEAVING: Final = (Stop.LEASE_LOST, Stop.SHUTDOWN)
"""Reasons after which another server runs the task."""


FAILING: Final = (Stop.DEADLINE, Stop.CANCELED)
"""Reasons after which the task has failed, unless its handler still succeeds."""


class Run:
    """One task being run.

    Attributes:
        lease: The right to run the task.
        active: The task as its handler gets it.
        began_at: When it began, seconds on the monotonic clock.
        job: The asyncio task of its handler.
        started: Whether its handler was called. `job` must not be cancelled before that: it would
            not even clean up.
        ended: Whether its handler has ended; stays False if it succeeded in time.
        stop: Reason to stop; None while it may run.
        then: The plans of the tasks that its handler has added.
    """

    __slots__ = ("active", "began_at", "ended", "job", "lease", "started", "stop", "then")

    def __init__(self, lease: Lease, active: ActiveTask, began_at: float, deadline: float) -> None:
        """Run the task of *lease* from *began_at* until *deadline*."""
        self.lease: Lease = lease
        self.began_at: float = began_at
        self.active: ActiveTask = active
        active.ends_at = deadline
        self.job: asyncio.Task[None] | None = None
        self.started: bool = False
        self.ended: bool = False
        self.stop: Stop | None = None
        self.then: tuple[Plan, ...] = ()

    def __repr__(self) -> str:
        """Name the task, for the log."""
        return repr(self.lease)

    @property
    def deadline(self) -> float:
        """When its time is over, seconds on the monotonic clock."""
        return self.active.ends_at

    @property
    def ends_at(self) -> float:
        """When the run must end: at its deadline or the end of its lease, seconds, monotonic."""
        return min(self.deadline, self.lease.expires_at)

    def request_stop(self, stop: Stop) -> None:
        """Cancel the handler once; again only if another server will run the task.

        A shutdown does not replace an earlier reason: a run that is overdue or canceled has failed,
        so its task must not go back to its queue as if it had never run.
        """
        stopping = self.stop is not None
        if not stopping or (stop in LEAVING and self.stop not in LEAVING):
            if not stopping or stop is not Stop.SHUTDOWN:
                self.stop = stop
            self.active.cancelled = True
            self.active.overdue = stop is Stop.DEADLINE or self.active.overdue
            # After a second cancellation it would no longer wait for the end of its thread.
            waits_for_thread = stopping and self.active.thread is not None
            if self.started and self.job is not None and not waits_for_thread:
                self.job.cancel()


def stop_error(run: Run) -> Exception:
    """Return the error with which a stopped run has failed."""
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
