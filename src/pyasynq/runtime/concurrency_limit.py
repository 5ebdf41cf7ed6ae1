"""A few places for many who want to do the same, so that they need few connections."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

LONGEST_S: Final = 0.1
"""Longest time for which a place is held: nobody waits long for those whose node is away."""


class ConcurrencyLimit:
    """Lets a few at a time do what they do, and more only where these take long."""

    def __init__(self, places: int) -> None:
        """Let *places* do it at a time."""
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Begin the block once there is a place; one that takes long goes on without."""
        await self._places.acquire()
        place = _Place(self._places)
        try:
            yield
        finally:
            place.leave()


class _Place:
    """Is left once: when its time is over, or before."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places: asyncio.Semaphore | None = places
        self._timer = asyncio.get_running_loop().call_later(LONGEST_S, self.leave)

    def leave(self) -> None:
        places, self._places = self._places, None
        self._timer.cancel()
        if places is not None:
            places.release()
