"""Share a limited number of work slots fairly between callers."""

import asyncio
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import TypeAlias

from member.errors import LimitedError

_Place: TypeAlias = asyncio.Future[None]

_RETRY_AFTER = timedelta(seconds=1)


class FairSlots:
    """A few work slots; each caller has a name, and all names have the same right to slots.

    Names get slots in rotation, however many slots one name waits for. The queue has a fixed size.
    When it is full, the name with most places in it gives up its last place to a name with fewer.
    So however much a few names ask for, any other name waits at most for one slot of each of them,
    and is not refused.
    """

    def __init__(self, at_once: int, most_waiting: int) -> None:
        """Give out *at_once* slots at a time, and let *most_waiting* callers wait for one."""
        self._free = at_once
        self._most = most_waiting
        self._queues: dict[str, deque[_Place]] = {}  # never empty ones; the first name is next

    @property
    def waiting(self) -> int:
        """How many callers wait for a slot."""
        return sum(map(len, self._queues.values()))

    async def take(self, name: str) -> None:
        """Wait for a slot, which the caller gives back.

        Raises:
            LimitedError: If the queue is full and no name has at least two places more than *name*.
        """
        if self._free:
            self._free -= 1
            return
        self._make_room(name)
        place = asyncio.get_running_loop().create_future()
        self._queues.setdefault(name, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place in self._queues.get(name, ()):
                self._leave(name, place)
            elif not place.cancelled() and place.exception() is None:
                self.give_back()  # the caller already had the slot
            raise

    def give_back(self) -> None:
        """Give the slot to the next caller."""
        for place in self._in_order():
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _in_order(self) -> Iterator[_Place]:
        while self._queues:
            name = next(iter(self._queues))
            queue = self._queues.pop(name)
            place = queue.popleft()
            if queue:
                self._queues[name] = queue  # behind all others
            yield place

    def _make_room(self, name: str) -> None:
        if self.waiting < self._most:
            return
        greediest = max(self._queues, key=lambda it: len(self._queues[it]))
        if len(self._queues[greediest]) <= len(self._queues.get(name, ())) + 1:
            raise LimitedError(_RETRY_AFTER)
        last = self._queues[greediest][-1]
        self._leave(greediest, last)
        if not last.done():
            last.set_exception(LimitedError(_RETRY_AFTER))

    def _leave(self, name: str, place: _Place) -> None:
        self._queues[name].remove(place)
        if not self._queues[name]:
            del self._queues[name]
