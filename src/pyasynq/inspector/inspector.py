"""Read queues and tasks, and move tasks by hand.

Source:
    Protocol section 8 (asynq v0.26.0 ``inspector.go``).
"""

import math
from datetime import UTC, datetime
from typing import Unpack

from pyasynq.broker import (
    Container,
    Move,
    Progress,
    RemoveResult,
)
from pyasynq.core.errors import (
    QueueActiveError,
    QueueNotEmptyError,
    QueueNotPausedError,
    QueuePausedError,
)
from pyasynq.core.info import (
    TaskInfo,
)
from pyasynq.core.options import check_instant, check_name
from pyasynq.core.states import Action, TaskState
from pyasynq.inspector.entries import EntryInspector
from pyasynq.inspector.filters import Criteria, Filter, TaskChanges, container_of
from pyasynq.inspector.server_control import ServerController


class Inspector(EntryInspector, ServerController):
    """Reads queues and tasks, and changes them; coroutines of one event loop may share it.

    No call blocks the broker for more than some milliseconds, however long a queue is.
    """

    # -- queues ------------------------------------------------------------------------------------

    async def pause(self, queue: str) -> None:
        """Stop workers from taking tasks of *queue* until `unpause`; running tasks continue.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueuePausedError: If it is paused already.

        Differs:
            The reference also pauses queues that do not exist (D56).
        """
        await self._actions.check(queue)
        if not await self._port.pause(queue, paused=True):
            raise QueuePausedError(queue)

    async def unpause(self, queue: str) -> None:
        """Let workers take tasks of *queue* again.

        Raises:
            QueueNotPausedError: If it is not paused, or does not exist.
        """
        check_name("queue", queue)
        if not await self._port.pause(queue, paused=False):
            raise QueueNotPausedError(queue)

    async def delete_queue(
        self, queue: str, *, force: bool = False, progress: Progress | None = None
    ) -> None:
        """Delete *queue* with its counters, groups and locks; its tasks only with *force*.

        The queue is paused while it is deleted.

        Args:
            queue: Name of the queue.
            force: Delete its tasks as well.
            progress: Called after every batch with the count of deleted tasks so far.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueueNotEmptyError: If it holds tasks in any state and *force* is False, or if producers
                added some while it was deleted.
            QueueActiveError: If tasks are running.
        """
        await self._actions.check(queue)
        match await self._port.remove(queue, force=force, progress=progress):
            case RemoveResult.ACTIVE:
                raise QueueActiveError(queue)
            case RemoveResult.NOT_EMPTY:
                raise QueueNotEmptyError(queue)
            case RemoveResult.DONE:
                return

    # -- tasks -------------------------------------------------------------------------------------

    async def run_task(self, queue: str, task_id: str) -> None:
        """Make a scheduled, retry, archived, completed or aggregating task pending.

        A task taken out of its group this way does not return to the group.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is pending, running, or being combined.
        """
        await self._actions.move(Action.RUN, queue, task_id)

    async def archive_task(self, queue: str, task_id: str) -> None:
        """Archive a task that is neither running nor archived.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is running, archived, or being combined.
        """
        await self._actions.move(Action.ARCHIVE, queue, task_id)

    async def delete_task(self, queue: str, task_id: str) -> None:
        """Delete a task that is not running, and release its unique lock.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is running, or being combined.
        """
        await self._actions.move(Action.DELETE, queue, task_id)

    async def update_task(
        self, queue: str, task_id: str, **changes: Unpack[TaskChanges]
    ) -> TaskInfo:
        """Change a scheduled, retry or archived task, and return the changed task.

        A unique lock follows the payload: from then on a second task with the new payload is
        refused, one with the old payload accepted. If the old payload is sealed, the new one is
        sealed with the same codecs.

        Raises:
            OptionError: If a value is not allowed.
            CodecError: If the task is sealed with a codec that fails, or that this inspector does
                not have.
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is in another state.
            DuplicateTaskError: If another task holds the unique lock of the new payload.
        """
        await self._actions.update(Action.UPDATE, queue, task_id, changes)
        return await self.task_info(queue, task_id)

    async def update_task_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a scheduled task, as the reference does.

        Raises:
            OptionError: If *payload* is not bytes.
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is not scheduled; see `update_task`.
            DuplicateTaskError: If another task holds the unique lock of the new payload.
        """
        await self._actions.update(Action.UPDATE_PAYLOAD, queue, task_id, {"payload": payload})

    async def reschedule(self, queue: str, task_id: str, at: datetime) -> None:
        """Make a scheduled or retry task due at *at*, rounded up to a second.

        An instant in the past makes it due now.

        Raises:
            OptionError: If *at* has no time zone.
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is in another state.
        """
        at_s = math.ceil(check_instant("at", at).timestamp())
        await self._actions.reschedule(queue, task_id, at_s)

    async def cancel(self, task_id: str) -> None:
        """Ask all servers to stop the task with this id.

        The canceled run fails; the task is retried or archived as after any other failure.
        """
        await self._broker.registry.cancel(check_name("task_id", task_id))

    # -- all tasks in a state ----------------------------------------------------------------------

    async def run_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
        **criteria: Unpack[Criteria],
    ) -> int:
        """Make the tasks pending that are in *state* now and meet all *criteria*.

        They are moved in batches. Without criteria these are all tasks in that state. With some, a
        task that moves meanwhile may be missed.

        Args:
            queue: Name of the queue.
            state: A state that `run_task` accepts, or its value as text.
            group: The group; required for aggregating tasks, not allowed for others.
            progress: Called after every batch with the count so far.
            **criteria: See `Criteria`.

        Returns:
            Number of tasks that were moved.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
            TypeError: If there is no such criterion.
        """
        container = container_of(queue, state, group)
        return await self._move_all(Action.RUN, container, progress, criteria)

    async def archive_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
        **criteria: Unpack[Criteria],
    ) -> int:
        """Archive the tasks that are in *state* now and meet all *criteria*; see `run_all`.

        The archive keeps the last 9,999 tasks; older ones are deleted.
        """
        container = container_of(queue, state, group)
        return await self._move_all(Action.ARCHIVE, container, progress, criteria)

    async def delete_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
        **criteria: Unpack[Criteria],
    ) -> int:
        """Delete such tasks as `run_all` would move, and release their locks."""
        container = container_of(queue, state, group)
        return await self._move_all(Action.DELETE, container, progress, criteria)

    async def _move_all(
        self, action: Move, container: Container, progress: Progress | None, criteria: Criteria
    ) -> int:
        choose = None
        if criteria:
            choose = self._actions.chooser(container, Filter(datetime.now(UTC), criteria).meets)
        return await self._actions.move_all(action, container, progress, choose)
