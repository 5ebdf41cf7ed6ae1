"""Make the plans of tasks that are created together."""

import functools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, Protocol, cast

from pyasynq.client.middleware import MiddlewareChain
from pyasynq.core.compose import Composed, Plan
from pyasynq.core.errors import OptionError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import Options, merge
from pyasynq.core.task import Task, check_task
from pyasynq.runtime.clock import Clock

CHUNK: Final = 256
"""Tasks in one chunk; one chunk is composed while another one is written."""


class Compose(Protocol):
    """Makes the plan of a task; see `Composer.compose`."""

    def __call__(self, task: Task, options: Options, *, now: datetime, task_id: str) -> Composed:
        """Return the plan."""
        ...


class Plans:
    """Makes plans, after all middleware, in chunks."""

    def __init__(self, compose: Compose, middleware: MiddlewareChain, clock: Clock) -> None:
        """Make plans with *compose*."""
        self._compose = compose
        self._middleware = middleware
        self.clock: Clock = clock

    async def chunks(
        self, tasks: Iterable[Task], shared: Options, next_ids: Callable[[int], Sequence[str]]
    ) -> AsyncIterator[Sequence[Plan]]:
        """Yield the plans of *tasks*, in chunks; middleware is called for one task at a time.

        Args:
            tasks: The tasks.
            shared: Options that are added to each.
            next_ids: Returns ids for a number of tasks.
        """
        waiting = iter(check_iterable(tasks))
        while chunk := list(islice(waiting, CHUNK)):
            ids = next_ids(len(chunk))
            yield [
                await self.one(task, shared, task_id)
                for task, task_id in zip(chunk, ids, strict=True)
            ]

    async def one(self, task: Task, shared: Options, task_id: str) -> Plan:
        """Return the plan of *task*, whose id is *task_id* unless it has another."""
        check_task(task)
        merged = merge(task.options, shared)
        if not self._middleware:
            return self._composed(task, merged, task_id).plan
        plans: list[Plan] = []
        await self._middleware.enqueue(task, merged, functools.partial(self._end, plans, task_id))
        return plans[0]

    async def _end(self, plans: list[Plan], task_id: str, task: Task, options: Options) -> TaskInfo:
        composed = self._composed(task, options, task_id)
        plans.append(composed.plan)
        return composed.info()

    def _composed(self, task: Task, options: Options, task_id: str) -> Composed:
        return self._compose(task, options, now=self.clock.now(), task_id=task_id)


def check_iterable(tasks: object) -> Iterable[Task]:
    """Return *tasks*.

    Raises:
        OptionError: If they are no list, or anything else that yields its members.
    """
    if not isinstance(tasks, Iterable):
        raise OptionError("tasks", tasks, "a list of Tasks (for one there is enqueue)")
    return cast("Iterable[Task]", tasks)
