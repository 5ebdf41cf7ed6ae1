"""Look at queues and tasks, and move them by hand.

Source:
    Protocol section 8 (asynq v0.26.0 ``inspector.go``).
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Self, Unpack

from pyasynq.broker import Broker, BrokerAddress, Progress, RemoveResult, open_broker
from pyasynq.core.codec import Codec, Codecs
from pyasynq.core.errors import (
    QueueActiveError,
    QueueNotEmptyError,
    QueueNotPausedError,
    QueuePausedError,
)
from pyasynq.core.info import (
    ClusterNode,
    DailyStats,
    GroupInfo,
    QueueInfo,
    SchedulerEntry,
    SchedulerEvent,
    ServerInfo,
    TaskInfo,
)
from pyasynq.core.options import check_count, check_instant, check_name
from pyasynq.core.states import Action, TaskState
from pyasynq.inspector.actions import Actions
from pyasynq.inspector.filters import MAX_RANK, Criteria, TaskChanges, container_of, meets
from pyasynq.runtime.cleanup import run_to_end

PAGE_SIZE: Final = 30
SCANNED: Final = 250
"""Tasks `Inspector.find_tasks` looks at in one call to Redis."""

MAX_DAYS: Final = 3650


class Inspector:
    """Shows queues and tasks, and moves them; safe to share within one event loop.

    Every call is bounded: however long a queue is, Redis is held for some milliseconds at most.
    """

    def __init__(self, broker: BrokerAddress, *, codecs: Sequence[Codec] = ()) -> None:
        """Use *broker*; nothing is sent before the first call.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            codecs: Open payloads and results; what they cannot open is shown as it travels.

        Raises:
            OptionError: If the URL, the client or a codec cannot be used.
        """
        self._broker: Broker = open_broker(broker)
        self._port = self._broker.inspection
        self._orders = Actions(self._broker, Codecs(codecs))

    async def __aenter__(self) -> Self:
        """Return the inspector."""
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Close the inspector."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections this inspector opened."""
        await run_to_end(self._broker.aclose)

    # -- queues ------------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return await self._port.queues()

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; without *memory*, which takes longest, its memory is 0.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        await self._orders.check(queue)
        return await self._port.queue_info(queue, memory=memory)

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return what *queue* did in the last *days* days (UTC), today first.

        Redis keeps 90 days; before that all counts are 0.

        Raises:
            OptionError: If *days* is not from 1 to 3650.
            QueueNotFoundError: If there is no such queue.
        """
        check_count("days", days, MAX_DAYS)
        await self._orders.check(queue)
        return await self._port.history(queue, days)

    async def groups(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks, by name.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        await self._orders.check(queue)
        return await self._broker.groups.group_sizes(queue)

    async def pause(self, queue: str) -> None:
        """Let no task of *queue* be taken until `unpause`; running ones go on.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueuePausedError: If it is paused already.

        Differs:
            The reference pauses queues that are not there (D56).
        """
        await self._orders.check(queue)
        if not await self._port.pause(queue, paused=True):
            raise QueuePausedError(queue)

    async def unpause(self, queue: str) -> None:
        """Let tasks of *queue* be taken again.

        Raises:
            QueueNotPausedError: If it is not paused, or not there.
        """
        check_name("queue", queue)
        if not await self._port.pause(queue, paused=False):
            raise QueueNotPausedError(queue)

    async def delete_queue(
        self, queue: str, *, force: bool = False, progress: Progress | None = None
    ) -> None:
        """Remove *queue* with its counters, groups and locks; its tasks only with *force*.

        The queue is paused meanwhile.

        Args:
            queue: Name of the queue.
            force: Delete its tasks as well.
            progress: Called after every batch with the count of deleted tasks so far.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueueNotEmptyError: If it holds tasks, in whatever state, and *force* is not given, or
                producers have added some while it was emptied.
            QueueActiveError: If tasks are running.
        """
        await self._orders.check(queue)
        match await self._port.remove(queue, force=force, progress=progress):
            case RemoveResult.ACTIVE:
                raise QueueActiveError(queue)
            case RemoveResult.NOT_EMPTY:
                raise QueueNotEmptyError(queue)
            case RemoveResult.DONE:
                return

    async def queue_slot(self, queue: str) -> int:
        """Return the cluster slot in which all keys of *queue* are."""
        return await self._broker.cluster.slot(check_name("queue", queue))

    async def queue_nodes(self, queue: str) -> list[ClusterNode]:
        """Return the cluster nodes that serve *queue*, its primary first; none without cluster."""
        return list(await self._broker.cluster.nodes(check_name("queue", queue)))

    # -- tasks -------------------------------------------------------------------------------------

    async def task_info(self, queue: str, task_id: str) -> TaskInfo:
        """Return one task.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            PoisonError: If what stands under this id is no task.
        """
        return await self._orders.info(queue, task_id)

    async def list_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        page: int = 1,
        size: int = PAGE_SIZE,
        group: str | None = None,
    ) -> list[TaskInfo]:
        """Return one page of the tasks in *state*.

        Pending tasks come as they will run, active ones as they were taken, all others by their
        time: when they are due, were archived, joined their group, or are deleted. Tasks that are
        just being combined follow those that wait in their group.

        Args:
            queue: Name of the queue.
            state: A state, or its word.
            page: Number of the page, from 1.
            size: Tasks on a page, from 1.
            group: The group; for aggregating tasks only, and needed there.

        Raises:
            OptionError: If an argument is not allowed (the reference takes page and size 0, D53).
            QueueNotFoundError: If there is no such queue.
        """
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        where = container_of(queue, state, group)
        await self._orders.check(queue)
        return (await self._orders.tasks(where, (page - 1) * size, size)).tasks

    async def find_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        limit: int = PAGE_SIZE,
        **criteria: Unpack[Criteria],
    ) -> list[TaskInfo]:
        """Return up to *limit* tasks in *state* that meet all *criteria*, in the order of the list.

        All tasks in that state are read, some at a time, until enough are found. A task that moves
        meanwhile may be missed.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
        """
        check_count("limit", limit, MAX_RANK)
        where = container_of(queue, state, group)
        await self._orders.check(queue)
        found: dict[str, TaskInfo] = {}
        start, more = 0, True
        while more and len(found) < limit:
            page = await self._orders.tasks(where, start, SCANNED)
            found |= {task.id: task for task in page.tasks if meets(task, **criteria)}
            start, more = start + SCANNED, page.more
        return list(found.values())[:limit]

    async def run_task(self, queue: str, task_id: str) -> None:
        """Make a task pending: scheduled, retry, archived, completed or aggregating.

        A task that leaves its group so does not come back to it.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is pending, running, or just being combined.
        """
        await self._orders.give(Action.RUN, queue, task_id)

    async def archive_task(self, queue: str, task_id: str) -> None:
        """Archive a task that is neither running nor archived.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is running, archived, or just being combined.
        """
        await self._orders.give(Action.ARCHIVE, queue, task_id)

    async def delete_task(self, queue: str, task_id: str) -> None:
        """Delete a task that is not running, and release its unique lock.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is running, or just being combined.
        """
        await self._orders.give(Action.DELETE, queue, task_id)

    async def update_task(
        self, queue: str, task_id: str, **changes: Unpack[TaskChanges]
    ) -> TaskInfo:
        """Change a scheduled, retry or archived task, and return it as it is then.

        A unique lock goes with the payload: afterwards the new payload is refused and the old one
        accepted again. A payload that is sealed is replaced by one that is sealed alike.

        Raises:
            OptionError: If a value is not allowed.
            CodecError: If the task is sealed by a codec that is not given here, or that fails.
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is in another state.
            DuplicateTaskError: If another task holds the unique lock of the new payload.
        """
        await self._orders.update(Action.UPDATE, queue, task_id, changes)
        return await self.task_info(queue, task_id)

    async def update_task_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Give a scheduled task another payload, as the reference does.

        Raises:
            OptionError: If *payload* is no bytes.
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is not scheduled; see `update_task`.
            DuplicateTaskError: If another task holds the unique lock of the new payload.
        """
        await self._orders.update(Action.UPDATE_PAYLOAD, queue, task_id, {"payload": payload})

    async def reschedule(self, queue: str, task_id: str, at: datetime) -> None:
        """Let a scheduled or retry task be due at *at*, rounded up to a second; past means now.

        Raises:
            OptionError: If *at* has no time zone.
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            TaskStateError: If it is in another state.
        """
        at_s = math.ceil(check_instant("at", at).timestamp())
        await self._orders.reschedule(queue, task_id, at_s)

    async def cancel(self, task_id: str) -> None:
        """Ask all servers to stop the task with this id; most of them do not run it.

        The canceled run fails, and is retried or archived as any other.
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
    ) -> int:
        """Make the tasks that are in *state* now pending, in batches, and return how many.

        Args:
            queue: Name of the queue.
            state: A state that `run_task` takes, or its word.
            group: The group; for aggregating tasks only, and needed there.
            progress: Called after every batch with the count so far.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
        """
        return await self._orders.give_all(Action.RUN, container_of(queue, state, group), progress)

    async def archive_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> int:
        """Archive the tasks that are in *state* now; see `run_all`.

        The archive keeps the last 9,999 tasks: of more than these the first are deleted.
        """
        return await self._orders.give_all(
            Action.ARCHIVE, container_of(queue, state, group), progress
        )

    async def delete_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> int:
        """Delete the tasks that are in *state* now and release their locks; see `run_all`."""
        return await self._orders.give_all(
            Action.DELETE, container_of(queue, state, group), progress
        )

    # -- servers -----------------------------------------------------------------------------------

    async def servers(self) -> list[ServerInfo]:
        """Return the servers that have shown themselves in the last seconds, with what they run."""
        return await self._broker.registry.servers()

    async def redis_info(self) -> dict[str, str]:
        """Return what Redis says of itself (``INFO``), or of the cluster (``CLUSTER INFO``)."""
        return await self._broker.cluster.server_info()

    # -- schedulers --------------------------------------------------------------------------------

    async def scheduler_entries(self) -> list[SchedulerEntry]:
        """Return the periodic tasks of all live schedulers."""
        return await self._broker.schedules.entries()

    async def scheduler_events(
        self, entry_id: str, *, page: int = 1, size: int = PAGE_SIZE
    ) -> list[SchedulerEvent]:
        """Return one page of the tasks that an entry enqueued, newest first.

        Raises:
            OptionError: If an argument is not allowed.
        """
        check_name("entry_id", entry_id)
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        return await self._broker.schedules.events(entry_id, page=page, size=size)
