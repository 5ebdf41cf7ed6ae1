"""What an inspector asks of a broker: look, order, remove.

Nothing here checks whether a queue or a task is there: absence is answered by None, False or an
empty list, and the inspector says what it means.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

import msgspec

from pyasynq.core.info import ClusterNode, DailyStats, GroupInfo, QueueInfo, ServerInfo, TaskInfo
from pyasynq.core.message import TaskMessage
from pyasynq.core.states import Order, TaskState


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where tasks wait: a queue and a state, and for aggregating ones their group."""

    queue: str
    state: TaskState
    group: str = ""


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """Where one task is.

    Attributes:
        place: Where its state says it is.
        staged: It is just being combined with others of its group, and in no place to take it from.
    """

    place: Place
    staged: bool


class Found(Spot, frozen=True, kw_only=True):
    """One task that was looked up.

    Attributes:
        info: What a user reads.
        message: Its message.
        data: The same as it stands in Redis.
    """

    info: TaskInfo
    message: TaskMessage
    data: bytes


class Updated(Enum):
    """What became of an update."""

    DONE = auto()
    CHANGED = auto()
    """The task is no longer what it was when it was looked up."""
    LOCKED = auto()
    """Another task holds the unique lock of the new payload."""


class Removed(Enum):
    """What became of a queue that was to be removed."""

    DONE = auto()
    ACTIVE = auto()
    NOT_EMPTY = auto()


class LookPort(Protocol):
    """Read, and change nothing."""

    async def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        ...

    async def is_known(self, queue: str) -> bool:
        """Return whether *queue* was ever published, and not removed since."""
        ...

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; its memory is 0 unless *memory* is to be estimated."""
        ...

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the counters of the last *days* days, today first."""
        ...

    async def groups(self, queue: str) -> list[GroupInfo]:
        """Return the groups with waiting tasks, by name."""
        ...

    async def spot(self, queue: str, task_id: str) -> Spot | None:
        """Return where one task is, whether or not its message can be read.

        Raises:
            PoisonError: If it is in no state that there is.
        """
        ...

    async def task(self, queue: str, task_id: str) -> Found | None:
        """Return one task.

        Raises:
            PoisonError: If what stands under this id is no task.
        """
        ...

    async def tasks(self, place: Place, start: int, count: int) -> list[TaskInfo]:
        """Return up to *count* tasks in order, leaving out the first *start*."""
        ...

    async def size(self, place: Place) -> int:
        """Return how many tasks are in *place*, without staged ones."""
        ...

    async def length(self, place: Place) -> int:
        """Return how many tasks `tasks` goes through, staged ones as well."""
        ...

    async def ids(self, place: Place, limit: int) -> list[str]:
        """Return up to *limit* ids, the next to run first."""
        ...

    async def servers(self) -> list[ServerInfo]:
        """Return the servers that have shown themselves in the last seconds, by start."""
        ...

    async def slot(self, queue: str) -> int:
        """Return the cluster slot of *queue*."""
        ...

    async def nodes(self, queue: str) -> list[ClusterNode]:
        """Return the cluster nodes that serve *queue*, its primary first."""
        ...

    async def redis_info(self) -> dict[str, str]:
        """Return what Redis says of itself, or of the cluster."""
        ...


class OrderPort(Protocol):
    """Move waiting tasks by hand."""

    async def pause(self, queue: str) -> bool:
        """Let no task of *queue* be taken; False if that is so already."""
        ...

    async def unpause(self, queue: str) -> bool:
        """Let tasks of *queue* be taken again; False if they are."""
        ...

    async def order(self, order: Order, place: Place, ids: Sequence[str]) -> list[bool]:
        """Run, archive or delete up to 1,000 tasks of *place*; False for one that is not there."""
        ...

    async def update(self, found: Found, revised: TaskMessage) -> Updated:
        """Give the task the message *revised*, unless it has changed; its lock goes with it."""
        ...

    async def reschedule(self, place: Place, task_id: str, at_s: int) -> bool:
        """Let a delayed task be due at *at_s* (Unix seconds); False if it is not there."""
        ...


class InspectPort(LookPort, OrderPort, Protocol):
    """All that an inspector needs."""

    async def remove(self, queue: str, *, force: bool) -> Removed:
        """Remove *queue* with all that belongs to it; its tasks as well only with *force*."""
        ...
