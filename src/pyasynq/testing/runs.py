"""What has run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyasynq.core.errors import PyasynqError
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import Archive, Complete, Done, Requeue, Retry, Verdict, error_text


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run of a task.

    Attributes:
        task: The task as its handler got it: `TaskInfo.retried` counts the failures before this
            run.
        error: What the handler raised, or why it was stopped; None if it succeeded.
        state: State of the task after the run; None if it was deleted.
        next_process_at: When it runs again; None if it does not.
        value: What the function returned.
    """

    task: TaskInfo
    error: Exception | None
    state: TaskState | None
    next_process_at: datetime | None
    value: object = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """Id of the task."""
        return self.task.id

    @property
    def type(self) -> str:
        """Type of the task."""
        return self.task.type

    @property
    def queue(self) -> str:
        """Queue of the task."""
        return self.task.queue

    def __str__(self) -> str:
        """Return the task and what happened to it."""
        outcome = "succeeded" if self.error is None else error_text(self.error)
        after = "" if self.state in {None, TaskState.COMPLETED} else f"; {self.state}"
        again = "" if self.next_process_at is None else f", again at {self.next_process_at:%F %T}"
        return f"{self.type} in {self.queue!r}: {outcome}{after}{again}"


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What a drain has run, in order.

    Attributes:
        runs: The runs.
    """

    runs: Sequence[Ran]

    @property
    def types(self) -> list[str]:
        """The types of the tasks that ran, one for each run."""
        return [run.type for run in self.runs]

    @property
    def failures(self) -> list[Ran]:
        """The runs that failed."""
        return [run for run in self.runs if run.error is not None]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.runs)

    def __str__(self) -> str:
        """Return a line for each run."""
        return "\n".join(map(str, self.runs)) or "nothing ran"


class TooManyRunsError(PyasynqError):
    """More tasks ran than expected, and others are still due.

    Attributes:
        runs: The runs.
    """

    def __init__(self, runs: Sequence[Ran], why: str) -> None:
        """Name the types that ran most often."""
        self.runs = runs
        often = Counter(run.type for run in runs).most_common(3)
        counts = ", ".join(f"{type!r} {count} times" for type, count in often)
        super().__init__(f"{why} ({counts})")


def outcome_of(verdict: Verdict) -> tuple[TaskState | None, datetime | None]:
    """Return the state of a task after *verdict*, and when it runs again."""
    match verdict:
        case Done():
            return None, None
        case Complete():
            return TaskState.COMPLETED, None
        case Retry(at=at):
            return TaskState.RETRY, at
        case Archive():
            return TaskState.ARCHIVED, None
        case Requeue():
            return TaskState.PENDING, None
