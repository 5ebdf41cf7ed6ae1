"""Read queues and tasks, and move tasks by hand.

Source:
    Protocol section 8 (asynq v0.26.0 ``inspector.go``).
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Self, Unpack

from pyasynq.broker import (
    Broker,
    BrokerAddress,
    Container,
    Move,
    Progress,
    RemoveResult,
    open_broker,
)
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
from pyasynq.core.run_stats import MOST_TYPES, RunSpan, TypeStats, add_counts, type_stats
from pyasynq.core.states import Action, TaskState
from pyasynq.inspector.actions import Actions
from pyasynq.inspector.errors import ErrorGroup, add_failure
from pyasynq.inspector.filters import MAX_RANK, Criteria, Filter, TaskChanges, container_of
from pyasynq.inspector.history import RunHistory
from pyasynq.runtime.cleanup import run_to_end

PAGE_SIZE: Final = 30
MAX_DAYS: Final = 3650


class Inspector:
    """Reads queues and tasks, and changes them; coroutines of one event loop may share it.

    No call blocks the broker for more than some milliseconds, however long a queue is.
    """

    def __init__(self, broker: BrokerAddress, *, codecs: Sequence[Codec] = ()) -> None:
        """Use *broker*; nothing is sent before the first call.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            codecs: Open payloads and results; what they cannot open is returned sealed.

        Raises:
            OptionError: If the URL, the client or a codec cannot be used.
        """
        self._broker: Broker = open_broker(broker)
        self._port = self._broker.inspection
        self._actions = Actions(self._broker, Codecs(codecs))
        self._history = RunHistory(self._broker)

    async def __aenter__(self) -> Self:
        """Return the inspector."""
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Close the inspector."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that this inspector opened."""
        await run_to_end(self._broker.aclose)

    # -- queues ------------------------------------------------------------------------------------

    async def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return await self._port.queues()

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; without *memory*, the slowest part, its memory is 0.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        await self._actions.check(queue)
        return await self._port.queue_info(queue, memory=memory)

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the daily counts of *queue* for the last *days* days (UTC), today first.

        Counts are kept for 90 days; older ones are 0.

        Raises:
            OptionError: If *days* is not from 1 to 3650.
            QueueNotFoundError: If there is no such queue.
        """
        check_count("days", days, MAX_DAYS)
        await self._actions.check(queue)
        return await self._port.history(queue, days)

    async def type_stats(
        self, queue: str | None = None, *, last: timedelta = timedelta(hours=1)
    ) -> list[TypeStats]:
        """Return what ran lately, by type of task, the most frequent first.

        Workers write their counts every 5 s. Go's workers write none.

        Args:
            queue: Name of the queue; None for all queues together.
            last: How far to look back, at most 3 days; up to 8 hours the times are exact to a
                minute, beyond that to ten minutes.

        Raises:
            OptionError: If *last* is not positive, or longer.
            QueueNotFoundError: If there is no such queue.
        """
        spans = await self._history.spans(queue, last)
        by_type: dict[str, list[int]] = {}
        for span in spans:
            add_counts(by_type, span.types, MOST_TYPES)
        return type_stats(by_type)

    async def run_history(
        self, queue: str | None = None, *, last: timedelta = timedelta(hours=1)
    ) -> list[RunSpan]:
        """Return what ran lately, minute by minute or in steps of ten minutes; see `type_stats`.

        A span in which nothing ran is left out.
        """
        return await self._history.run_spans(queue, last)

    async def groups(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks, sorted by name.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        await self._actions.check(queue)
        return await self._broker.groups.group_sizes(queue)

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

    async def queue_slot(self, queue: str) -> int:
        """Return the cluster slot of all keys of *queue*."""
        return await self._broker.cluster.slot(queue)

    async def queue_nodes(self, queue: str) -> list[ClusterNode]:
        """Return the cluster nodes of *queue*, its primary first; empty without a cluster."""
        if not self._broker.supports("cluster"):
            return []
        return list(await self._broker.cluster.nodes(queue))

    # -- tasks -------------------------------------------------------------------------------------

    async def task_info(self, queue: str, task_id: str) -> TaskInfo:
        """Return one task.

        Raises:
            QueueNotFoundError: If there is no such queue.
            TaskNotFoundError: If the queue has no such task.
            PoisonError: If the stored task cannot be decoded.
        """
        return await self._actions.info(queue, task_id)

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

        Pending tasks come in the order in which they will run, active ones in the order in which
        workers took them, all others by their time: when they are due, were archived, joined their
        group, or will be deleted. Tasks that an aggregator is combining follow those that wait in
        their group.

        Args:
            queue: Name of the queue.
            state: A state, or its value as text.
            page: Number of the page, from 1.
            size: Tasks on a page, from 1.
            group: The group; required for aggregating tasks, not allowed for others.

        Raises:
            OptionError: If an argument is not allowed (the reference accepts page and size 0, D53).
            QueueNotFoundError: If there is no such queue.
        """
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        container = container_of(queue, state, group)
        await self._actions.check(queue)
        return (await self._actions.tasks(container, (page - 1) * size, size)).tasks

    async def find_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        limit: int = PAGE_SIZE,
        **criteria: Unpack[Criteria],
    ) -> list[TaskInfo]:
        """Return up to *limit* tasks in *state* that meet all *criteria*, as `list_tasks` orders.

        The tasks in that state are read in batches until enough are found. A task that moves
        meanwhile may be missed.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
        """
        check_count("limit", limit, MAX_RANK)
        container = container_of(queue, state, group)
        wanted = Filter(datetime.now(UTC), criteria)
        await self._actions.check(queue)
        found: dict[str, TaskInfo] = {}
        async for task in self._actions.scan(container):
            if wanted.meets(task):
                found[task.id] = task
                if len(found) == limit:
                    break
        return list(found.values())

    async def errors(self, queue: str, state: TaskState | str | None = None) -> list[ErrorGroup]:
        """Count the failed tasks of *queue* by their type and the first line of their last error.

        All tasks in these states are read, in batches. A task that moves meanwhile may be missed.

        Args:
            queue: Name of the queue.
            state: A state, or its value as text; None for both retry and archived.

        Returns:
            One item for each kind of failure, the most frequent first.

        Raises:
            OptionError: If there is no such state, or it is aggregating.
            QueueNotFoundError: If there is no such queue.
        """
        states = (TaskState.RETRY, TaskState.ARCHIVED) if state is None else (state,)
        containers = [container_of(queue, one, None) for one in states]
        await self._actions.check(queue)
        groups: dict[tuple[str, str], ErrorGroup] = {}
        for container in containers:
            async for task in self._actions.scan(container):
                add_failure(groups, task)
        return sorted(groups.values(), key=lambda group: -group.count)

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
        wanted = Filter(datetime.now(UTC), criteria).meets if criteria else None
        return await self._actions.move_all(action, container, progress, wanted)

    # -- servers -----------------------------------------------------------------------------------

    async def servers(self) -> list[ServerInfo]:
        """Return the servers that have reported in the last seconds, with their running tasks."""
        return await self._broker.registry.servers()

    async def redis_info(self) -> dict[str, str]:
        """Return the answer of Redis to ``INFO``, or on a cluster to ``CLUSTER INFO``.

        Raises:
            NotSupportedError: If the broker is not Redis; see `broker_info`.
        """
        return await self._broker.cluster.server_info()

    async def broker_info(self) -> dict[str, str]:
        """Return what the broker says about itself.

        This is `redis_info`, or of SQLite its version, the name of the file, and sizes in bytes.
        """
        if self._broker.supports("cluster"):
            return await self._broker.cluster.server_info()
        (node,) = await self._broker.diagnosis.nodes()
        return dict(node.info or {})

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
