"""Orders: look a task up, and move it from where it is; again if it moves meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from pyasynq.broker import Broker, Container, Move, Page, Progress, StoredTask, UpdateResult
from pyasynq.core.codec import Codecs
from pyasynq.core.compose import with_options
from pyasynq.core.errors import (
    DuplicateTaskError,
    OptionError,
    PoisonError,
    QueueNotFoundError,
    TaskNotFoundError,
    TaskStateError,
)
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import check_name
from pyasynq.core.states import ALLOWED_STATES, Action, TaskState
from pyasynq.inspector.filters import TaskChanges, check_changes

BATCH: Final = 1000
"""Most tasks a bulk operation moves in one call to Redis."""

ATTEMPTS: Final = 10
"""How often an order is tried because the task moves meanwhile."""

STAGED: Final = "staged"
MOVING: Final = "moving between states all the time"


class Actions:
    """Moves tasks by hand."""

    def __init__(self, broker: Broker, codecs: Codecs) -> None:
        """Ask *broker*; open and seal payloads by *codecs*."""
        self._broker = broker
        self._port = broker.inspection
        self._codecs = codecs

    async def check(self, queue: str) -> None:
        """Return if *queue* is known.

        Raises:
            QueueNotFoundError: If it is not.
        """
        # Peers may have given a queue a name that is longer than we allow.
        if not queue.strip() or not await self._port.queues([queue]):
            raise QueueNotFoundError(queue)

    async def info(self, queue: str, task_id: str) -> TaskInfo:
        """Return what a user reads of a task.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            PoisonError: If what stands under this id is no task.
        """
        found = await self._found(queue, task_id)
        if found.info is None:
            raise PoisonError(found.size)
        return self._codecs.open_info(found.info)

    async def _found(self, queue: str, task_id: str) -> StoredTask:
        await self.check(queue)
        found = await self._port.task(queue, check_name("task_id", task_id))
        if found is None:
            raise TaskNotFoundError(queue, task_id)
        return found

    async def tasks(self, place: Container, start: int, count: int) -> Page:
        """Return up to *count* tasks of *place* in order, leaving out the first *start*."""
        page = await self._port.tasks(place, start, count)
        return msgspec.structs.replace(page, tasks=list(map(self._codecs.open_info, page.tasks)))

    async def _obey(
        self,
        order: Action,
        queue: str,
        task_id: str,
        act: Callable[[StoredTask], Awaitable[bool]],
    ) -> None:
        """Let *act* carry out *order*; again if the task has moved since it was looked up."""
        for _ in range(ATTEMPTS):
            found = await self._found(queue, task_id)
            if found.staged or found.place.state not in ALLOWED_STATES[order]:
                state = STAGED if found.staged else found.place.state.value
                raise TaskStateError(queue, task_id, state, order.value)
            if await act(found):
                return
        raise TaskStateError(queue, task_id, MOVING, order.value)

    async def give(self, order: Move, queue: str, task_id: str) -> None:
        """Run, archive or delete a task."""

        async def move(found: StoredTask) -> bool:
            return await self._port.apply(order, found.place, [task_id]) == 1

        await self._obey(order, queue, task_id, move)

    async def update(self, order: Action, queue: str, task_id: str, changes: TaskChanges) -> None:
        """Make *changes* to a task."""
        options, payload = check_changes(changes)

        async def update(found: StoredTask) -> bool:
            if found.message is None:
                raise PoisonError(found.size)
            revised = with_options(found.message, options, payload=payload)
            if payload is not None:
                self._codecs.seal_again(revised)
            updated = await self._port.update(found, revised)
            if updated is UpdateResult.LOCKED:
                raise DuplicateTaskError(queue, found.message.type)
            return updated is UpdateResult.DONE

        await self._obey(order, queue, task_id, update)

    async def reschedule(self, queue: str, task_id: str, at_s: int) -> None:
        """Let a task be due at *at_s*, Unix seconds."""

        async def move(found: StoredTask) -> bool:
            return await self._port.update(found, at_s) is UpdateResult.DONE

        await self._obey(Action.RESCHEDULE, queue, task_id, move)

    async def give_all(self, order: Move, place: Container, progress: Progress | None) -> int:
        """Run, archive or delete the tasks that are in *place* now, in batches; return how many."""
        if place.state not in ALLOWED_STATES[order]:
            words = ", ".join(sorted(ALLOWED_STATES[order]))
            raise OptionError("state", place.state.value, f"one of {words}")
        await self.check(place.queue)
        moved, left = 0, await self._size(place)
        while left > 0:
            moved += await self._port.apply(order, place, min(left, BATCH))
            left -= BATCH
            if progress is not None:
                progress(moved)
        return moved

    async def _size(self, place: Container) -> int:
        """Return how many tasks are in *place*, without those that are just being combined."""
        if place.state is TaskState.AGGREGATING:
            groups = await self._broker.groups.group_sizes(place.queue)
            return sum(group.size for group in groups if group.group == place.group)
        info = await self._port.queue_info(place.queue, memory=False)
        return int(getattr(info, place.state.value))
