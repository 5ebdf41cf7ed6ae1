"""What an inspector needs from a broker: read queues and tasks, act on them, remove queues.

No method raises if a queue or a task does not exist: it returns None, False or an empty list, and
the inspector decides what that means.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Literal, Protocol, TypeAlias

import msgspec

from pyasynq.core.errors import BrokerError
from pyasynq.core.info import DailyStats, QueueInfo, TaskInfo
from pyasynq.core.message import TaskMessage
from pyasynq.core.states import Action, TaskState

Move: TypeAlias = Literal[Action.RUN, Action.ARCHIVE, Action.DELETE]
"""Actions that take a task out of its container."""


Progress: TypeAlias = Callable[[int], object]
"""Called after every batch of a bulk operation with the number of tasks so far."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """Where tasks wait: a queue and a state, and for aggregating tasks the group."""

    queue: str
    state: TaskState
    group: str = ""


class StoredTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task that was looked up.

    Attributes:
        place: The container that its state names.
        staged: It is in an aggregation set, so it is not in *container* and no action can move it.
        id: Its id.
        message: Its message; None if it cannot be decoded.
        info: The task as a user sees it; None if its message cannot be decoded.
        version: Differs after each change of the task; only the broker reads it.
        size: Size of the stored message, bytes.
    """

    container: Container
    staged: bool
    id: str
    message: TaskMessage | None
    info: TaskInfo | None
    version: object
    size: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some tasks of a container.

    Attributes:
        tasks: The tasks of the page whose message can be decoded.
        more: More tasks follow.
    """

    tasks: list[TaskInfo]
    more: bool


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks that were found among some that were looked at.

    Attributes:
        ids: Their ids, in order.
        looked_at: Number of tasks that were looked at.
    """

    ids: Sequence[str]
    looked_at: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks that were deleted among some that were looked at.

    Attributes:
        deleted: Number of tasks that were deleted.
        looked_at: Number of tasks that were looked at.
    """

    deleted: int
    looked_at: int


class UpdateResult(Enum):
    """The result of an update."""

    DONE = auto()
    CHANGED = auto()
    """The task has changed since it was read."""
    LOCKED = auto()
    """Another task holds the unique lock of the new payload."""


class RemoveResult(Enum):
    """The result of removing a queue."""

    DONE = auto()
    ACTIVE = auto()
    NOT_EMPTY = auto()


class ReadPort(Protocol):
    """Read queues and tasks without changing them."""

    async def queues(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the names of all known queues, or of the known ones in *among*, sorted.

        A queue is known once a client or a server has named it, until it is removed.
        """
        ...

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; without *memory* its memory is 0 and not estimated."""
        ...

    async def queue_infos(self, queues: Sequence[str]) -> Sequence[QueueInfo | BrokerError]:
        """Return the counts of *queues* in their order, without memory, in few round trips.

        An error is returned for each queue that cannot be read, unless the broker does not answer.
        """
        ...

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the counters of the last *days* days, today first."""
        ...

    async def task(self, queue: str, task_id: str) -> StoredTask | None:
        """Return one task, also if its message cannot be decoded; None if it does not exist.

        Raises:
            PoisonError: If its state is unknown.
        """
        ...

    async def tasks(self, container: Container, start: int, count: int) -> Page:
        """Return up to *count* tasks in order, after skipping the first *start*."""
        ...

    async def find_errors(self, container: Container, text: str, start: int, count: int) -> Matches:
        """Find the tasks whose last error contains *text*, in upper or lower case.

        This is much faster than to read them. A message that cannot be decoded has no error.

        Args:
            container: Where they are; not a group, and not pending.
            text: ASCII.
            start: Tasks to skip.
            count: Most tasks to look at.
        """
        ...


class ActionPort(Protocol):
    """Move waiting tasks by hand."""

    async def pause(self, queue: str, *, paused: bool) -> bool:
        """Pause or resume *queue*; False if it is in that state already."""
        ...

    async def apply(self, action: Move, container: Container, which: Sequence[str] | int) -> int:
        """Run, archive or delete tasks of *container*; return how many were there.

        Args:
            action: What to do with them.
            container: Where they wait.
            which: Their ids, or their number, counted from the next to run. At most 1,000.
        """
        ...

    async def delete_errors(
        self, container: Container, text: str, start: int, count: int
    ) -> Deleted:
        """Delete the tasks that `ReadPort.find_errors` finds.

        This is much faster than to find them first.

        Args:
            container: Where they are; not a group, and not pending.
            text: ASCII.
            start: Tasks to skip.
            count: Most tasks to look at, at most 1,000.
        """
        ...

    async def update(self, found: StoredTask, change: TaskMessage | int) -> UpdateResult:
        """Give the task another message, or another time.

        Args:
            found: The task.
            change: Its new message, unless the task has changed since it was read; its lock is
                replaced by that of the new message. Or when it is due, Unix seconds, if it is still
                scheduled or waits for a retry.
        """
        ...


class InspectionPort(ReadPort, ActionPort, Protocol):
    """All that an inspector needs."""

    async def remove(
        self, queue: str, *, force: bool, progress: Progress | None = None
    ) -> RemoveResult:
        """Remove *queue* and all its keys; a queue with tasks only with *force*."""
        ...
