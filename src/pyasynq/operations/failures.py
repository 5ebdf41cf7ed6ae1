"""Failed tasks by type and error, counted in bounded steps."""

from collections.abc import Sequence

from pyasynq.core.errors import QueueNotFoundError
from pyasynq.core.states import FAILED, TaskState
from pyasynq.inspector import ErrorGroup, Inspector
from pyasynq.inspector.actions import Actions
from pyasynq.inspector.errors import add_failure
from pyasynq.inspector.filters import container_of
from pyasynq.operations.finder import MOST_LOOKED_AT, STEP


class FailureCount:
    """Counts failed tasks; at most `MOST_LOOKED_AT` are looked at.

    Attributes:
        looked_at: Tasks that were looked at.
        total: Tasks in the states that are looked at.
    """

    def __init__(self, inspector: Inspector, actions: Actions) -> None:
        """Read by *inspector* and *actions*."""
        self.looked_at: int = 0
        self.total: int = 0
        self._inspector = inspector
        self._actions = actions
        self._by_queue: dict[str, dict[tuple[str, str], ErrorGroup]] = {}

    @property
    def is_complete(self) -> bool:
        """Whether all failed tasks were looked at."""
        return self.looked_at < MOST_LOOKED_AT

    async def look_at(self, queue: str, states: Sequence[TaskState] = FAILED) -> None:
        """Count the tasks of *queue* in *states*, until enough were looked at.

        Raises:
            QueueNotFoundError: If there is no such queue.
        """
        info = await self._inspector.queue_info(queue, memory=False)
        self.total += sum(int(getattr(info, state.value)) for state in states)
        for state in states:
            await self._look_at(queue, state)

    async def look_at_all(self, states: Sequence[TaskState] = FAILED) -> None:
        """Count the tasks of all queues in *states*, until enough were looked at."""
        for queue in await self._inspector.queues():
            try:
                await self.look_at(queue, states)
            except QueueNotFoundError:  # it was removed meanwhile
                continue

    async def _look_at(self, queue: str, state: TaskState) -> None:
        groups = self._by_queue.setdefault(queue, {})
        start, more = 0, True
        while more and self.looked_at < MOST_LOOKED_AT:
            page = await self._actions.tasks(container_of(queue, state, None), start, STEP)
            for task in page.tasks:
                add_failure(groups, task)
            self.looked_at += len(page.tasks)
            start, more = start + STEP, page.more

    def groups(self) -> Sequence[tuple[str, ErrorGroup]]:
        """Return each kind of failure with its queue, the most frequent first."""
        found = [(queue, it) for queue, groups in self._by_queue.items() for it in groups.values()]
        return sorted(found, key=lambda it: -it[1].count)
