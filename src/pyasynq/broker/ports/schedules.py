"""Where entries of schedulers are, and who has them."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pyasynq.core.errors import BrokerError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """An entry and where it begins if no scheduler has known it.

    Attributes:
        entry_id: The entry.
        queue: Queue of its task.
        begin_s: What counts as its last tick, Unix seconds.
        ttl_s: Time for which the broker remembers it, seconds.
    """

    entry_id: str
    queue: str
    begin_s: int
    ttl_s: int


class EntryStart(msgspec.Struct, frozen=True, kw_only=True):
    """Where an entry begins.

    Attributes:
        last_s: The entry's last tick, Unix seconds.
        known: Whether a scheduler has known it.
        rejected_s: As in `TickResult`.
    """

    last_s: int
    known: bool
    rejected_s: int | None = None


class SchedulePort(Protocol):
    """Where entries of schedulers are, and who has them."""

    async def begin(self, positions: Sequence[Position]) -> list[EntryStart | BrokerError]:
        """Return each entry's last tick; an unknown one begins where it says, or now."""
        ...

    async def clock_s(self) -> float:
        """Return the broker's clock, which all machines share, Unix seconds."""
        ...

    async def record(self, events: Sequence[tuple[str, SchedulerEvent]]) -> None:
        """Add events to the histories of entries, which are named by id."""
        ...

    async def write_entries(
        self, scheduler_id: str, entries: Sequence[SchedulerEntry], *, ttl_s: int
    ) -> None:
        """Show the *entries* of a scheduler for *ttl_s* seconds."""
        ...

    async def clear_entries(self, scheduler_id: str) -> None:
        """Stop showing a scheduler."""
        ...

    async def forget(self, entry_id: str, queue: str) -> None:
        """Clear an entry's history, and soon forget its last tick."""
        ...

    async def entries(self) -> list[SchedulerEntry]:
        """Return the entries of all live schedulers."""
        ...

    async def events(self, entry_id: str, *, page: int, size: int) -> list[SchedulerEvent]:
        """Return a page of what an entry enqueued, newest first; the first page is 1."""
        ...
