"""Search for tasks in bounded steps."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from pyasynq.broker import Broker, Container, Matches
from pyasynq.core.errors import BrokerError, PoisonError, QueueNotFoundError, TaskNotFoundError
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import TaskState
from pyasynq.inspector.actions import Actions
from pyasynq.operations.payloads import Payloads
from pyasynq.operations.search import STATES, Query

MOST_LOOKED_AT: Final = 10_000
"""Tasks that one call looks at."""

LONGEST_S: Final = 3.0
"""Seconds after which one call stops: large tasks take long to read."""

WITH_ERRORS: Final = frozenset(
    {TaskState.SCHEDULED, TaskState.RETRY, TaskState.ARCHIVED, TaskState.COMPLETED}
)
"""States of tasks that the broker can find by their errors."""

STEP: Final = 250
"""Tasks that are read at once; less if fewer are left to look at."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A container that is searched, and the number of its tasks."""

    container: Container
    size: int


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a search goes on: a container, and the tasks of it that were looked at."""

    queue: str
    state: str
    group: str
    start: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one call.

    Attributes:
        tasks: The tasks that meet the query.
        position: Where to go on; None at the end.
        looked_at: Tasks that were looked at.
        total: Tasks in all places that the query searches.
        stopped: Whether it stopped because it has looked at enough tasks, or for long enough.
    """

    tasks: Sequence[TaskInfo]
    position: Position | None
    looked_at: int
    total: int
    stopped: bool = False


class Finder:
    """Finds tasks that meet a query."""

    def __init__(self, broker: Broker, actions: Actions, payloads: Payloads) -> None:
        """Ask *broker*; payloads are searched as they are shown."""
        self._broker = broker
        self._actions = actions
        self._payloads = payloads

    async def places(self, query: Query) -> list[Place]:
        """Return the places that *query* searches, in order; the empty ones are left out."""
        places: list[Place] = []
        states = query.states()
        if query.names_group:
            states = [state for state in states if state is TaskState.AGGREGATING]
        queues = list(filter(query.wants_queue, await self._broker.inspection.queues()))
        for info in await self._broker.inspection.queue_infos(queues):
            if isinstance(info, BrokerError):  # the overview reports it
                continue
            for state in states:
                size = int(getattr(info, state.value))
                if size and state is TaskState.AGGREGATING:
                    places += await self._group_places(info.queue, query)
                elif size:
                    places.append(_place(info.queue, state, size))
        return places

    async def _group_places(self, queue: str, query: Query) -> list[Place]:
        if not self._broker.supports("groups"):
            return []
        groups = await self._broker.groups.group_sizes(queue)
        return [
            _place(queue, TaskState.AGGREGATING, it.size, it.group)
            for it in groups
            if it.size and query.wants_group(it.group)
        ]

    def meets(self, query: Query, task: TaskInfo, now: datetime) -> bool:
        """Return whether *task*, as it is shown, meets *query*."""
        return query.meets(self._payloads.redacted(task), now)

    async def matches(self, query: Query, container: Container, start: int, count: int) -> Matches:
        """Return the tasks of *container* that meet *query*, among *count* after *start* others."""
        text = query.only_error
        if text is not None and container.state in WITH_ERRORS:
            return await self._broker.inspection.find_errors(container, text, start, count)
        tasks = (await self._actions.tasks(container, start, count)).tasks
        now = datetime.now(UTC)
        ids = [task.id for task in tasks if self.meets(query, task, now)]
        return Matches(ids=ids, looked_at=len(tasks))

    async def find(self, query: Query, *, limit: int, position: Position | None = None) -> Found:
        """Return up to *limit* tasks that meet *query*, from *position* on.

        At most `MOST_LOOKED_AT` tasks are looked at. A task that moves meanwhile may be missed.
        """
        places = await self.places(query)
        total = sum(place.size for place in places)
        if position is None and (found := await self._look_up(query)):
            return Found(tasks=found, position=None, looked_at=len(found), total=total)
        search = _Search(self, query, limit)
        end = await search.run(_from(places, position), self._actions)
        return Found(
            tasks=search.found,
            position=end,
            looked_at=search.looked_at,
            total=total,
            stopped=search.stopped,
        )

    async def _look_up(self, query: Query) -> list[TaskInfo]:
        """Return the tasks with the ids that *query* names."""
        found: list[TaskInfo] = []
        now = datetime.now(UTC)
        states = query.states()
        queues = await self._broker.inspection.queues() if query.ids else []
        for queue in filter(query.wants_queue, queues):
            for task_id in query.ids:
                with suppress(TaskNotFoundError, QueueNotFoundError, PoisonError):
                    task = await self._actions.info(queue, task_id)
                    if task.state in states and self.meets(query, task, now):
                        found.append(task)
        return found


class _Search:
    """One call of `Finder.find`."""

    def __init__(self, finder: Finder, query: Query, limit: int) -> None:
        self.found: list[TaskInfo] = []
        self.looked_at = 0
        self.stopped = False
        self._ends = time.monotonic() + LONGEST_S
        self._finder = finder
        self._query = query
        self._limit = limit
        self._now = datetime.now(UTC)

    async def run(self, places: Sequence[tuple[Place, int]], actions: Actions) -> Position | None:
        """Look at *places*, each from its rank on; return where to go on."""
        for place, start in places:
            rank, more = start, True
            while more:
                self.stopped = self._has_enough()
                if self.stopped or len(self.found) >= self._limit:
                    return _position(place, rank)
                step = min(STEP, MOST_LOOKED_AT - self.looked_at)
                if self._query.only_places:
                    step = min(step, self._limit - len(self.found))
                page = await actions.tasks(place.container, rank, step)
                more = page.more
                taken = self._take(page.tasks)
                if taken is not None:  # the page is full before its end
                    self.looked_at += taken
                    return _position(place, rank + taken)
                self.looked_at += step if more else len(page.tasks)
                rank += step
        return None

    def _has_enough(self) -> bool:
        """Return whether enough tasks were looked at, or large ones for long enough."""
        is_late = self.looked_at > 0 and time.monotonic() >= self._ends
        return self.looked_at >= MOST_LOOKED_AT or is_late

    def _take(self, tasks: Sequence[TaskInfo]) -> int | None:
        """Keep the tasks that meet the query; return how many were looked at if that is enough."""
        for n, task in enumerate(tasks, 1):
            if self._finder.meets(self._query, task, self._now):
                self.found.append(task)
                if len(self.found) == self._limit and n < len(tasks):
                    return n
        return None


def _place(queue: str, state: TaskState, size: int, group: str = "") -> Place:
    return Place(container=Container(queue=queue, state=state, group=group), size=size)


def _position(place: Place, start: int) -> Position:
    where = place.container
    return Position(where.queue, where.state.value, where.group, start)


def _order(queue: str, state: str, group: str) -> tuple[str, int, str]:
    return queue, STATES.index(TaskState(state)), group


def _order_of(container: Container) -> tuple[str, int, str]:
    return _order(container.queue, container.state.value, container.group)


def _from(places: Sequence[Place], position: Position | None) -> list[tuple[Place, int]]:
    """Return *places* from *position* on, each with the rank of its first task to look at.

    The place of *position* is missing if it is empty now.
    """
    if position is None:
        return [(place, 0) for place in places]
    begin = _order(position.queue, position.state, position.group)
    ordered = [(_order_of(place.container), place) for place in places]
    return [(it, position.start if at == begin else 0) for at, it in ordered if at >= begin]
