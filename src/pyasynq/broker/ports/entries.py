"""Entries of schedulers as operators control them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pyasynq.core.entry_task import EntryTask


class EntryPort(Protocol):
    """What entries of schedulers enqueue, and which of them are paused."""

    async def keep(self, tasks: Sequence[EntryTask]) -> None:
        """Store what entries enqueue, each for its *ttl_s*; their pauses last at least as long."""
        ...

    async def task(self, entry_id: str) -> EntryTask | None:
        """Return what an entry enqueues; None if it is not stored, or cannot be decoded."""
        ...

    async def pause(self, entry_id: str, *, ttl_s: int) -> bool:
        """Pause an entry for *ttl_s* seconds, or longer if it is kept; False if it is paused."""
        ...

    async def resume(self, entry_id: str) -> bool:
        """Resume an entry; False if it is not paused."""
        ...

    async def pauses(self) -> Mapping[str, float]:
        """Return, for each entry that is or was paused, up to when its ticks are left out.

        This is the instant of its resumption, Unix seconds, or infinity while it is paused.
        """
        ...

    async def forget(self, entry_id: str) -> None:
        """Let what is known about an entry expire soon, unless it is kept again."""
        ...
