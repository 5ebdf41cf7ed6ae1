"""Limit how many actors work at once, so that they need few connections."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

LONGEST_S: Final = 0.1
"""Longest time for which a block holds its slot: an unreachable node must not delay the others."""


class ConcurrencyLimit:
    """Lets a few blocks run at once, and more only when some take longer than 0.1 s."""

    def __init__(self, slots: int) -> None:
        """Let *slots* blocks run at once."""
        self._count = slots
        self._slots = asyncio.Semaphore(slots)

    def grow(self, slots: int) -> None:
        """Let *slots* blocks run at once if that is more than before."""
        for _ in range(slots - self._count):
            self._slots.release()
        self._count = max(self._count, slots)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Begin the block once a slot is free; a block that takes long goes on without it."""
        await self._slots.acquire()
        slot = _Slot(self._slots)
        try:
            yield
        finally:
            slot.release()


class _Slot:
    """A slot that is released once: after `LONGEST_S`, or earlier when the block ends."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots
        self._timer = asyncio.get_running_loop().call_later(LONGEST_S, self.release)

    def release(self) -> None:
        slots, self._slots = self._slots, None
        self._timer.cancel()
        if slots is not None:
            slots.release()
