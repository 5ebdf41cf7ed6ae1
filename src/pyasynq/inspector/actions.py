"""Actions of operators: read a task, then move it; retry if it has moved meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from pyasynq.broker import (
    Broker,
    Container,
    Deleted,
    Move,
    Page,
    Progress,
    StoredTask,
    UpdateResult,
)
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
"""Largest number of tasks that a bulk operation moves in one call."""

SCANNED: Final = 250
"""Tasks that a search reads in one call."""

ATTEMPTS: Final = 10
"""Tries of one action while the task keeps moving."""

Choose: TypeAlias = Callable[[int, int], Awaitable[Sequence[str]]]
"""Skips some tasks, looks at some others, and returns the ids of those that are wanted."""

STAGED: Final = "staged"
MOVING: Final = "moving between states all the time"


class Actions:
    """Reads tasks, and runs, archives, deletes or changes them."""

    def __init__(self, broker: Broker, codecs: Codecs) -> None:
        """Ask *broker*; open and seal payloads with *codecs*."""
        self._broker = broker
        self._port = broker.inspection
        self._codecs = codecs

    async def check(self, queue: str) -> None:
        """Check that *queue* exists.

        Raises:
            QueueNotFoundError: If it does not.
        """
        # check_name would refuse names that peers may use, because they are too long.
        if not queue.strip() or not await self._port.queues([queue]):
            raise QueueNotFoundError(queue)

    async def info(self, queue: str, task_id: str) -> TaskInfo:
        """Return a task as users read it.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            PoisonError: If the stored task cannot be decoded.
        """
        found = await self._find(queue, task_id)
        if found.info is None:
            raise PoisonError(found.size)
        return self._codecs.open_info(found.info)

    async def _find(self, queue: str, task_id: str) -> StoredTask:
        await self.check(queue)
        found = await self._port.task(queue, check_name("task_id", task_id))
        if found is None:
            raise TaskNotFoundError(queue, task_id)
        return found

    async def tasks(self, container: Container, start: int, count: int) -> Page:
        """Return up to *count* tasks of *container* in order, without the first *start*."""
        page = await self._port.tasks(container, start, count)
        return msgspec.structs.replace(page, tasks=list(map(self._codecs.open_info, page.tasks)))

    async def scan(self, container: Container) -> AsyncIterator[TaskInfo]:
        """Yield the tasks of *container* in order, read in batches."""
        start, more = 0, True
        while more:
            page = await self.tasks(container, start, SCANNED)
            for task in page.tasks:
                yield task
            start, more = start + SCANNED, page.more

    async def _perform(
        self,
        action: Action,
        queue: str,
        task_id: str,
        attempt: Callable[[StoredTask], Awaitable[bool]],
    ) -> None:
        """Perform *action* by *attempt*, which returns False if the task has moved; then retry."""
        for _ in range(ATTEMPTS):
            found = await self._find(queue, task_id)
            if found.staged or found.container.state not in ALLOWED_STATES[action]:
                state = STAGED if found.staged else found.container.state.value
                raise TaskStateError(queue, task_id, state, action.value)
            if await attempt(found):
                return
        raise TaskStateError(queue, task_id, MOVING, action.value)

    async def move(self, action: Move, queue: str, task_id: str) -> None:
        """Run, archive or delete a task."""

        async def attempt(found: StoredTask) -> bool:
            return await self._port.apply(action, found.container, [task_id]) == 1

        await self._perform(action, queue, task_id, attempt)

    async def update(self, action: Action, queue: str, task_id: str, changes: TaskChanges) -> None:
        """Make *changes* to a task."""
        options, payload = check_changes(changes)

        async def attempt(found: StoredTask) -> bool:
            if found.message is None:
                raise PoisonError(found.size)
            changed = with_options(found.message, options, payload=payload)
            if payload is not None:
                self._codecs.seal_again(changed)
            updated = await self._port.update(found, changed)
            if updated is UpdateResult.LOCKED:
                raise DuplicateTaskError(queue, found.message.type)
            return updated is UpdateResult.DONE

        await self._perform(action, queue, task_id, attempt)

    async def reschedule(self, queue: str, task_id: str, at_s: int) -> None:
        """Make a task due at *at_s*, Unix seconds."""

        async def attempt(found: StoredTask) -> bool:
            return await self._port.update(found, at_s) is UpdateResult.DONE

        await self._perform(Action.RESCHEDULE, queue, task_id, attempt)

    def chooser(self, container: Container, wanted: Callable[[TaskInfo], bool]) -> Choose:
        """Return a function that reads tasks of *container* and chooses those that are *wanted*."""

        async def choose(start: int, count: int) -> Sequence[str]:
            page = await self.tasks(container, start, count)
            return [task.id for task in page.tasks if wanted(task)]

        return choose

    async def move_all(
        self,
        action: Move,
        container: Container,
        progress: Progress | None = None,
        choose: Choose | None = None,
    ) -> int:
        """Run, archive or delete tasks of *container* in batches; return the number of them.

        Args:
            action: What to do.
            container: Where the tasks are.
            progress: Called after every batch with the number of tasks so far.
            choose: Chooses the tasks that are moved; None for all.
        """
        if container.state not in ALLOWED_STATES[action]:
            allowed = ", ".join(sorted(ALLOWED_STATES[action]))
            raise OptionError("state", container.state.value, f"one of {allowed}")
        await self.check(container.queue)
        moved = start = 0
        left = await self._size(container)  # not those that come meanwhile
        while left > 0:
            which: Sequence[str] | int = min(left, BATCH)
            if choose is not None:
                which = await choose(start, min(left, BATCH))
            count = await self._apply(action, container, which) if which else 0
            moved += count
            start += min(left, BATCH) - count
            left -= BATCH
            if progress is not None:
                progress(moved)
            await asyncio.sleep(0)  # a broker in this process may answer without giving way
        return moved

    async def delete_errors(
        self, container: Container, text: str, progress: Callable[[Deleted], object]
    ) -> None:
        """Delete the tasks of *container* whose last error contains *text*, in batches.

        Args:
            container: Where the tasks are; not a group, and not pending.
            text: ASCII; upper and lower case are the same.
            progress: Called after every batch with what it did.
        """
        await self.check(container.queue)
        start, left = 0, await self._size(container)  # not those that come meanwhile
        while left > 0:
            done = await self._port.delete_errors(container, text, start, min(left, BATCH))
            progress(done)
            if not done.looked_at:
                return
            start += done.looked_at - done.deleted
            left -= done.looked_at
            await asyncio.sleep(0)  # a broker in this process may answer without giving way

    async def _apply(self, action: Move, container: Container, which: Sequence[str] | int) -> int:
        """Apply *action*, also to pending tasks amid others; return the number that were there."""
        count = await self._port.apply(action, container, which)
        if isinstance(which, int) or container.state is not TaskState.PENDING:
            return count
        if count < len(which):  # Redis finds several tasks only if they are the next to run
            count += sum([await self._port.apply(action, container, [it]) for it in which])
        return count

    async def _size(self, container: Container) -> int:
        """Return the number of tasks in *container*, without those that are being combined."""
        if container.state is TaskState.AGGREGATING:
            groups = await self._broker.groups.group_sizes(container.queue)
            return sum(group.size for group in groups if group.group == container.group)
        info = await self._port.queue_info(container.queue, memory=False)
        return int(getattr(info, container.state.value))
