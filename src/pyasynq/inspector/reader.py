"""Read queues, tasks and servers.

Source:
    Protocol section 8 (asynq v0.26.0 ``inspector.go``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Self, Unpack

from pyasynq.broker import (
    Broker,
    BrokerAddress,
    open_broker,
)
from pyasynq.core.codec import Codec, Codecs
from pyasynq.core.info import (
    ClusterNode,
    DailyStats,
    GroupInfo,
    MailInfo,
    QueueInfo,
    ServerInfo,
    TaskInfo,
)
from pyasynq.core.options import check_count
from pyasynq.core.run_stats import MOST_TYPES, RunSpan, TypeStats, add_counts, type_stats
from pyasynq.core.states import FAILED, TaskState
from pyasynq.inspector.actions import Actions
from pyasynq.inspector.errors import ErrorGroup, add_failure
from pyasynq.inspector.filters import MAX_RANK, Criteria, Filter, container_of
from pyasynq.inspector.history import RunHistory
from pyasynq.runtime.cleanup import run_to_end

PAGE_SIZE: Final = 30
MAX_DAYS: Final = 3650


class Reader:
    """Reads queues, tasks and servers, and changes nothing."""

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
        self._codecs = Codecs(codecs)
        self._actions = Actions(self._broker, self._codecs)
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

    async def mail(self, queue: str, *, page: int = 1, size: int = PAGE_SIZE) -> list[MailInfo]:
        """Return one page of the tasks that wait in *queue* to be created in other queues.

        They follow tasks of *queue*. On Redis they wait for some milliseconds, or longer if the
        other queue cannot be reached, or no server with *queue* runs; on SQLite never.

        Args:
            queue: Name of the queue.
            page: Number of the page, from 1.
            size: Tasks on a page, from 1; fewer come if they are large.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
        """
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        await self._actions.check(queue)
        if not self._broker.supports("mail"):
            return []
        return list(await self._broker.mail.letters(queue, (page - 1) * size, size))

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
        states = FAILED if state is None else (state,)
        containers = [container_of(queue, one, None) for one in states]
        await self._actions.check(queue)
        groups: dict[tuple[str, str], ErrorGroup] = {}
        for container in containers:
            async for task in self._actions.scan(container):
                add_failure(groups, task)
        return sorted(groups.values(), key=lambda group: -group.count)

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
