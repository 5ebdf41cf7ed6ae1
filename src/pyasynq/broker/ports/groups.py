"""Combine the tasks of a group into one."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pyasynq.core.info import GroupInfo
from pyasynq.core.message import TaskMessage


class GroupRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a group is ripe to be combined.

    Attributes:
        grace_s: Once nothing has joined it for so many seconds.
        max_delay_s: Once its oldest task has waited for so many seconds; 0 for never.
        max_size: Once it has so many tasks; 0 for never. Also the most that are combined into one.
    """

    grace_s: int
    max_delay_s: int = 0
    max_size: int = 0


class ReadyGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of a queue that are to be combined.

    Attributes:
        names: Their names.
        next_in_s: Seconds until another one is ripe, or None if none waits.
    """

    names: list[str]
    next_in_s: float | None


class AggregationSet(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one group, set aside to be combined.

    Attributes:
        queue: Queue of the group.
        group: Name of the group.
        id: UUID of the set.
    """

    queue: str
    group: str
    id: str


class GroupedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a staged set.

    Attributes:
        id: Its id; bytes that are no UTF-8 are escaped as surrogates.
        message: The task; None if it cannot be read.
        failures: How often it could not be combined.
    """

    id: str
    message: TaskMessage | None
    failures: int


class ReclaimResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was out of place among the groups of a queue.

    Attributes:
        tasks: Tasks that are back in their groups.
        groups: Groups that are registered again.
        next_in_s: Seconds until there is more to look through.
    """

    tasks: int
    groups: int
    next_in_s: float


class GroupPort(Protocol):
    """Combine the tasks of a group into one."""

    async def ready(self, queue: str, rules: GroupRules) -> ReadyGroups:
        """Return the groups of *queue* that are to be combined."""
        ...

    async def stage(self, queue: str, group: str, rules: GroupRules) -> AggregationSet | None:
        """Set the oldest tasks of *group* aside for `HELD_S`, if it is ripe; they are ours then."""
        ...

    async def read_set(self, staged: AggregationSet) -> list[GroupedTask] | None:
        """Return the tasks of *staged*, oldest first; None if it is not ours any more."""
        ...

    async def hold_set(self, staged: AggregationSet) -> bool:
        """Keep *staged* from being put back for `HELD_S`; False if it was."""
        ...

    async def postpone(
        self, staged: AggregationSet, failed: Sequence[GroupedTask], *, wait_s: int
    ) -> bool:
        """Count a failure in each of *failed*; have *staged* put back in *wait_s* seconds."""
        ...

    async def archive(self, staged: AggregationSet, members: Sequence[GroupedTask]) -> int:
        """Archive *members*, as their messages say; return how many were still in *staged*."""
        ...

    async def unstage(self, staged: AggregationSet) -> int:
        """Put the tasks of *staged* back into their group now; return how many."""
        ...

    async def reclaim(self, queue: str) -> ReclaimResult:
        """Put back the sets that nobody holds any more; register groups that nobody knows.

        Raises:
            BrokerError: Also if a set cannot go back; all others are back by then.
        """
        ...

    async def group_sizes(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks, by name."""
        ...
