"""What an inspector asks of a broker: look, order, remove.

Nothing here checks whether a queue or a task is there: absence is answered by None, False or an
empty list, and the inspector says what it means.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Literal, Protocol, TypeAlias

import msgspec

from pyasynq.core.info import DailyStats, QueueInfo, TaskInfo
from pyasynq.core.message import TaskMessage
from pyasynq.core.states import Action, TaskState

Move: TypeAlias = Literal[Action.RUN, Action.ARCHIVE, Action.DELETE]
"""Orders by which a task leaves its place."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """Where tasks wait: a queue and a state, and for aggregating ones their group."""

    queue: str
    state: TaskState
    group: str = ""


class StoredTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task that was looked up.

    Attributes:
        place: Where its state says it is.
        staged: It is just being combined with others of its group, and in no place to take it from.
        id: Its id.
        message: Its message; None if it cannot be read.
        info: What a user reads of it; None if its message cannot be read.
        version: Tells it from what it becomes when it is changed; nobody else looks into it.
        size: Bytes of what stands for its message.
    """

    place: Container
    staged: bool
    id: str
    message: TaskMessage | None
    info: TaskInfo | None
    version: object
    size: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some tasks of a place.

    Attributes:
        tasks: Those of them whose message can be read.
        more: There are tasks behind them.
    """

    tasks: list[TaskInfo]
    more: bool


class UpdateResult(Enum):
    """What became of an update."""

    DONE = auto()
    CHANGED = auto()
    """The task is no longer what it was when it was looked up."""
    LOCKED = auto()
    """Another task holds the unique lock of the new payload."""


class RemoveResult(Enum):
    """What became of a queue that was to be removed."""

    DONE = auto()
    ACTIVE = auto()
    NOT_EMPTY = auto()


class ReadPort(Protocol):
    """Read, and change nothing."""

    async def queues(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the names of all queues, or of those *among* some that are known, sorted.

        A queue is known once it was named by a client or a server, until it is removed.
        """
        ...

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; its memory is 0 unless *memory* is to be estimated."""
        ...

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the counters of the last *days* days, today first."""
        ...

    async def task(self, queue: str, task_id: str) -> StoredTask | None:
        """Return one task, whether or not its message can be read.

        Raises:
            PoisonError: If it is in no state that there is.
        """
        ...

    async def tasks(self, place: Container, start: int, count: int) -> Page:
        """Return up to *count* tasks in order, leaving out the first *start*."""
        ...


class ActionPort(Protocol):
    """Move waiting tasks by hand."""

    async def pause(self, queue: str, *, paused: bool) -> bool:
        """Let no task of *queue* be taken, or let them again; False if that is so already."""
        ...

    async def apply(self, order: Move, place: Container, which: Sequence[str] | int) -> int:
        """Run, archive or delete tasks of *place*, at most 1,000; return how many were there.

        Args:
            order: What to do with them.
            place: Where they wait.
            which: Their ids, or how many, the next to run first.
        """
        ...

    async def update(self, found: StoredTask, change: TaskMessage | int) -> UpdateResult:
        """Give the task another message, or another time.

        Args:
            found: The task.
            change: Its message from now on, unless it has changed meanwhile; its lock goes with it.
                Or when it is due, Unix seconds, if it is still scheduled, or waits for a retry.
        """
        ...


class InspectionPort(ReadPort, ActionPort, Protocol):
    """All that an inspector needs."""

    async def remove(self, queue: str, *, force: bool) -> RemoveResult:
        """Remove *queue* with all that belongs to it; its tasks as well only with *force*."""
        ...
