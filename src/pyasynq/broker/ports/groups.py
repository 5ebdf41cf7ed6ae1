"""Combine the tasks of a group into one."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pyasynq.core.info import GroupInfo
from pyasynq.core.message import TaskMessage


class GroupRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a group is ready to be combined.

    Attributes:
        grace_s: Once no task has joined it for this time, seconds.
        max_delay_s: Once its oldest task has waited for this time, seconds; 0 for never.
        max_size: Once it has this number of tasks; 0 for never. Also the largest size of a set.
    """

    grace_s: int
    max_delay_s: int = 0
    max_size: int = 0


class ReadyGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of a queue that are ready to be combined.

    Attributes:
        names: Their names.
        next_in_s: Seconds until another group is ready; None if no other group waits.
        held_elsewhere_s: Seconds for which another server combines them; None if this one does.
    """

    names: list[str]
    next_in_s: float | None
    held_elsewhere_s: float | None = None


class AggregationSet(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks that were taken out of one group to be combined.

    Attributes:
        queue: Queue of the group.
        group: Name of the group.
        id: UUID of the set.
    """

    queue: str
    group: str
    id: str


class GroupedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of an aggregation set.

    Attributes:
        id: Its id; bytes that are not UTF-8 are escaped as surrogates.
        message: Its message; None if it cannot be decoded.
        failures: Number of failed attempts to combine it.
    """

    id: str
    message: TaskMessage | None
    failures: int


class ReclaimResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a reclaiming step repaired among the groups of a queue.

    Attributes:
        tasks: Number of tasks that it put back into their groups.
        groups: Number of groups that it registered.
        next_in_s: Seconds until the next step.
    """

    tasks: int
    groups: int
    next_in_s: float


class GroupPort(Protocol):
    """Combine the tasks of a group into one."""

    async def ready(self, queue: str, rules: GroupRules, *, server_id: str) -> ReadyGroups:
        """Return the groups of *queue* that are ready to be combined by the server.

        As with `UpkeepPort.look`, one server at a time has something to do.
        """
        ...

    async def stage(self, queue: str, group: str, rules: GroupRules) -> AggregationSet | None:
        """Move the oldest tasks of *group* into a set of ours for `HELD_S`; None if not ready."""
        ...

    async def read_set(self, group_set: AggregationSet) -> list[GroupedTask] | None:
        """Return the tasks of *group_set*, oldest first; None if the set is no longer ours."""
        ...

    async def hold_set(self, group_set: AggregationSet) -> bool:
        """Hold *group_set* for another `HELD_S`; False if its tasks were put back."""
        ...

    async def postpone(
        self, group_set: AggregationSet, failed: Sequence[GroupedTask], *, wait_s: int
    ) -> bool:
        """Count a failure of each task in *failed*; let *group_set* be put back after *wait_s*.

        Returns:
            False if the set is no longer ours.
        """
        ...

    async def archive(self, group_set: AggregationSet, tasks: Sequence[GroupedTask]) -> int:
        """Archive *tasks* with their given messages; return how many were still in *group_set*."""
        ...

    async def unstage(self, group_set: AggregationSet) -> int:
        """Put the tasks of *group_set* back into their group now; return how many."""
        ...

    async def reclaim(self, queue: str) -> ReclaimResult:
        """Put back the sets that nobody holds any more; register groups that are not registered.

        Raises:
            BrokerError: Also if one set cannot be put back; all others are put back first.
        """
        ...

    async def group_sizes(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks, by name."""
        ...
