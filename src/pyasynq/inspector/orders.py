"""Orders: look a task up, and move it from where it is; again if it moves meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from pyasynq.broker import Found, InspectPort, Place, Spot, Updated
from pyasynq.core.compose import changed
from pyasynq.core.errors import (
    DuplicateTaskError,
    OptionError,
    QueueNotFoundError,
    TaskNotFoundError,
    TaskStateError,
)
from pyasynq.core.options import check_name
from pyasynq.core.states import ORDERS, Order
from pyasynq.inspector.questions import TaskChanges, checked_changes

Progress: TypeAlias = Callable[[int], None]
S = TypeVar("S", bound=Spot)

BATCH: Final = 1000
"""Most tasks a bulk operation moves in one call to Redis."""

ATTEMPTS: Final = 10
"""How often an order is tried because the task moves meanwhile."""

STAGED: Final = "staged"
MOVING: Final = "moving between states all the time"


class Orders:
    """Moves tasks by hand."""

    def __init__(self, port: InspectPort) -> None:
        """Ask *port*."""
        self._port = port

    async def check(self, queue: str) -> None:
        """Return if *queue* is known.

        Raises:
            QueueNotFoundError: If it is not.
        """
        # Peers may have given a queue a name that is longer than we allow.
        known = queue.strip() and await self._port.is_known(queue)
        if not known:
            raise QueueNotFoundError(queue)

    async def found(self, queue: str, task_id: str) -> Found:
        """Return a task.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
        """
        await self.check(queue)
        found = await self._port.task(queue, check_name("task_id", task_id))
        if found is None:
            raise TaskNotFoundError(queue, task_id)
        return found

    async def _spot(self, queue: str, task_id: str) -> Spot:
        await self.check(queue)
        spot = await self._port.spot(queue, check_name("task_id", task_id))
        if spot is None:
            raise TaskNotFoundError(queue, task_id)
        return spot

    async def _obey(
        self,
        order: Order,
        queue: str,
        task_id: str,
        look: Callable[[str, str], Awaitable[S]],
        act: Callable[[S], Awaitable[bool]],
    ) -> None:
        """Let *act* carry out *order*; again if the task has moved since it was looked up."""
        for _ in range(ATTEMPTS):
            spot = await look(queue, task_id)
            if spot.staged or spot.place.state not in ORDERS[order]:
                state = STAGED if spot.staged else spot.place.state.value
                raise TaskStateError(queue, task_id, state, order.value)
            if await act(spot):
                return
        raise TaskStateError(queue, task_id, MOVING, order.value)

    async def give(self, order: Order, queue: str, task_id: str) -> None:
        """Run, archive or delete a task."""

        async def move(spot: Spot) -> bool:
            return await self._port.order(order, spot.place, [task_id]) == [True]

        await self._obey(order, queue, task_id, self._spot, move)

    async def update(self, order: Order, queue: str, task_id: str, changes: TaskChanges) -> None:
        """Make *changes* to a task."""
        options, payload = checked_changes(changes)

        async def update(found: Found) -> bool:
            revised = changed(found.message, options, payload=payload)
            updated = await self._port.update(found, revised)
            if updated is Updated.LOCKED:
                raise DuplicateTaskError(queue, found.info.type)
            return updated is Updated.DONE

        await self._obey(order, queue, task_id, self.found, update)

    async def reschedule(self, queue: str, task_id: str, at_s: int) -> None:
        """Let a task be due at *at_s*, Unix seconds."""

        async def move(spot: Spot) -> bool:
            return await self._port.reschedule(spot.place, task_id, at_s)

        await self._obey(Order.RESCHEDULE, queue, task_id, self._spot, move)

    async def give_all(self, order: Order, place: Place, progress: Progress | None) -> int:
        """Run, archive or delete all tasks of *place*, in batches; return how many."""
        if place.state not in ORDERS[order]:
            words = ", ".join(sorted(ORDERS[order]))
            raise OptionError("state", place.state.value, f"one of {words}")
        await self.check(place.queue)
        moved, left = 0, await self._port.size(place)
        while left > 0 and (ids := await self._port.ids(place, min(left, BATCH))):
            moved += sum(await self._port.order(order, place, ids))
            left -= len(ids)
            if progress is not None:
                progress(moved)
        return moved
