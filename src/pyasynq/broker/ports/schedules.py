"""Last ticks, entries and histories of schedulers."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pyasynq.core.errors import BrokerError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.states import TaskState


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, and its last tick if no scheduler has known it before.

    Attributes:
        entry_id: The entry.
        queue: Queue of its task.
        begin_s: Last tick of an entry that is new, Unix seconds.
        ttl_s: Time for which the broker remembers it, seconds.
    """

    entry_id: str
    queue: str
    begin_s: int
    ttl_s: int


class EntryStart(msgspec.Struct, frozen=True, kw_only=True):
    """The last tick from which an entry continues.

    Attributes:
        last_s: The entry's last tick, Unix seconds.
        known: Whether a scheduler has known the entry before.
        rejected_s: As in `TickResult`.
    """

    last_s: int
    known: bool
    rejected_s: int | None = None


class SchedulePort(Protocol):
    """Last ticks, entries and histories of schedulers."""

    async def begin(self, positions: Sequence[Position]) -> list[EntryStart | BrokerError]:
        """Return each entry's last tick; that of a new entry is *begin_s*, or now if earlier."""
        ...

    async def clock_s(self) -> float:
        """Return the broker's clock, which all machines share, Unix seconds."""
        ...

    async def record(self, events: Sequence[tuple[str, SchedulerEvent]]) -> None:
        """Add each event to the history of the entry with the given id."""
        ...

    async def write_entries(
        self, scheduler_id: str, entries: Sequence[SchedulerEntry], *, ttl_s: int
    ) -> None:
        """Write the *entries* of a scheduler, which lives for *ttl_s* seconds more."""
        ...

    async def clear_entries(self, scheduler_id: str) -> None:
        """Delete the written entries of a scheduler."""
        ...

    async def forget(self, entry_id: str, queue: str) -> None:
        """Delete an entry's history, and let its last tick expire soon."""
        ...

    async def entries(self) -> list[SchedulerEntry]:
        """Return the entries of all live schedulers."""
        ...

    async def entries_of(self, scheduler_id: str) -> list[SchedulerEntry]:
        """Return the entries of one scheduler.

        Those of one that has ended without clearing them are known for `ENDED_S` seconds.
        """
        ...

    async def events(self, entry_id: str, *, page: int, size: int) -> list[SchedulerEvent]:
        """Return a page of an entry's enqueue events, newest first; the first page is 1."""
        ...

    async def states(self, tasks: Sequence[tuple[str, str]]) -> list[TaskState | None]:
        """Return the states of tasks, each with its queue and id; None if there is no such task."""
        ...
