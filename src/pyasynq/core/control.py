"""How the run of a task ends: signals that a handler raises, and errors that stop or refuse a run.

The errors are leaves of the tree in `errors`. The signals (`SkipRetry`, `RevokeTask`, `RetryIn`,
`Snooze`) stand outside it.
"""

import signal
from datetime import datetime, timedelta
from typing import Any

from pyasynq.core.errors import PyasynqError, as_timedelta, short_repr


class HandlerNotFoundError(PyasynqError):
    """No pattern of the mux matches the task's type.

    Attributes:
        type: The type without a handler.
    """

    def __init__(self, type: str) -> None:
        """Name the *type* without a handler."""
        self.type = type
        super().__init__(f'handler not found for task "{type}"')


class PayloadError(PyasynqError):
    """A payload does not fit the types of its handler; such a task is archived at once.

    If a handler raises it for a task that it makes, it counts as any other failure of that handler.

    Attributes:
        type: Type of the task.
        reason: What does not fit, and at which field.
    """

    def __init__(self, type: str, reason: str) -> None:
        """Name the *type*, and say what does not fit."""
        self.type = type
        self.reason = reason
        super().__init__(f"payload of {type!r} does not fit: {reason}")


class NotAwaitedError(PyasynqError):
    """A call of an async function was never awaited, so it has done nothing.

    Attributes:
        call: Name of the function.
        place: File and line of the call.
        type: Type of the task in the call, or an empty text.
    """

    def __init__(self, call: str, place: str, type: str = "") -> None:
        """Say which *call* was not awaited, and what to do at *place*."""
        self.call = call
        self.place = place
        self.type = type
        named = f"{call}() of {type!r}" if type else f"{call}()"
        super().__init__(
            f"{named} was never awaited at {place}: it did nothing; put await before it, or, in a "
            "plain def, asyncio.run(…) around it"
        )


class ResultError(PyasynqError):
    """The result was not stored because the task is gone or another worker runs it.

    Attributes:
        task_id: Id of the task.
    """

    def __init__(self, task_id: str) -> None:
        """Name the task whose result was refused."""
        self.task_id = task_id
        super().__init__(f"failed to write task result: {task_id!r} is no longer ours")


class TaskTimeoutError(PyasynqError):
    """The task's timeout or deadline passed before its handler ended."""

    def __init__(self) -> None:
        """Use the reference's words, which operators search for."""
        super().__init__("context deadline exceeded")


class DeadlinePassedError(TaskTimeoutError):
    """The task's deadline had passed before the task started; such a task is archived at once.

    Attributes:
        deadline: The task's deadline.
    """

    def __init__(self, deadline: datetime) -> None:
        """Name the *deadline* that has passed."""
        super().__init__()
        self.deadline = deadline
        by = f"{deadline:%Y-%m-%d %H:%M:%S %Z}"
        self.args: tuple[Any, ...] = (
            f"context deadline exceeded before the task began: it was to end by {by}",
        )


class TaskCanceledError(PyasynqError):
    """An operator canceled the running task."""

    def __init__(self) -> None:
        """Use the reference's words, which operators search for."""
        super().__init__("context canceled")


class LeaseExpiredError(PyasynqError):
    """The worker died, or could not extend the task's lease in time."""

    def __init__(self) -> None:
        """Use the reference's words, which operators search for."""
        super().__init__("asynq: task lease expired")


class WorkerCrashedError(PyasynqError):
    """Several workers in a row died, or lost the task's lease, while they ran the task.

    Attributes:
        crashes: Number of these workers.
    """

    def __init__(self, crashes: int) -> None:
        """Give the number of crashes."""
        self.crashes = crashes
        super().__init__(f"crashed its worker {crashes} time{'' if crashes == 1 else 's'} in a row")


class ProcessDiedError(PyasynqError):
    """The process that ran the task's function died; the failure concerns this task alone.

    Attributes:
        exitcode: Its exit code; negative for a signal that killed it, as Python has it.
    """

    def __init__(self, exitcode: int, *, started: bool = True) -> None:
        """Say how it ended, and whether it had *started*, so that it could run a function."""
        self.exitcode = exitcode
        how = f"ended with exit code {exitcode}"
        if exitcode < 0:
            how = f"was killed by {_signal_name(-exitcode)}"
        if exitcode == -signal.SIGKILL:
            how += " (by the system, if it used too much memory)"
        text = f"the process of the task {how} before the function returned"
        if not started:
            text = f"the process for the task {how} before it could run a function: see its output"
        super().__init__(text)


class NotPicklableError(PyasynqError):
    """What a function returned or raised cannot go from its process to the worker.

    Attributes:
        what: What cannot.
        reason: Why not.
    """

    def __init__(self, what: str, reason: str) -> None:
        """Say *what* cannot be pickled, and the *reason*."""
        self.what = what
        self.reason = reason
        super().__init__(
            f"{what} cannot be pickled, so it cannot leave the process of the task: {reason}"
        )


class SkipRetry(Exception):
    """Raised by a handler: archive the task now, even if retries are left."""


class RevokeTask(Exception):
    """Raised by a handler: delete the task; do not retry or archive it."""


class RetryIn(Exception):
    """Raised by a handler: this run failed, retry after *delay*.

    Attributes:
        delay: Time until the next try; a negative one counts as zero.
        reason: What becomes the task's last error; empty if nothing was given.
    """

    def __init__(self, delay: timedelta, reason: str = "") -> None:
        """Retry after *delay*; *reason* becomes the task's last error.

        Without a reason that error names the delay, and the exception that this one is raised from.

        Raises:
            TypeError: If *delay* is not a timedelta.
        """
        self.delay: timedelta = _check_delay(delay)
        self.reason: str = reason
        super().__init__(reason or f"retry in {delay}")


class Snooze(Exception):
    """Raised by a handler: run the task again after *delay*, without spending a retry.

    Attributes:
        delay: Time until the next try; a negative one counts as zero.
    """

    def __init__(self, delay: timedelta) -> None:
        """Run again after *delay*.

        Raises:
            TypeError: If *delay* is not a timedelta.
        """
        self.delay: timedelta = _check_delay(delay)
        super().__init__(f"snoozed for {delay}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _check_delay(delay: object) -> timedelta:
    if not isinstance(delay, timedelta):
        right = f"a timedelta, {as_timedelta(delay)} for instance"
        msg = f"the delay must be {right}, got {short_repr(delay)}"
        raise TypeError(msg)
    return max(delay, timedelta(0))
