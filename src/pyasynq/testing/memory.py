"""The memory in which a test's tasks are: a broker on SQLite that belongs to the test."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final
from unittest import mock

from pyasynq.broker import Broker, Container, Created, CreationPort, NewTask
from pyasynq.broker.sqlite import in_memory
from pyasynq.client.batching import Answer, Batcher
from pyasynq.core.codec import Codecs
from pyasynq.core.compose import Plan
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import TaskState
from pyasynq.runtime.clock import Clock

PAGE: Final = 250
WAITING: Final = (TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRY)


class Memory:
    """A broker in memory, and what tests ask of it.

    Attributes:
        broker: The broker.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin without tasks; *clock* tells the time."""
        self.broker: Broker = in_memory(clock)
        self._creation = _Creation(self.broker.creation)
        self.broker.creation = self._creation

    async def waiting(self, codecs: Codecs) -> list[TaskInfo]:
        """Return the tasks that wait to run, opened with *codecs*, by queue and state."""
        found: list[TaskInfo] = []
        for queue in await self.broker.inspection.queues():
            for state in WAITING:
                found += await self._tasks(Container(queue=queue, state=state))
            for group in await self.broker.groups.group_sizes(queue):
                container = Container(queue=queue, state=TaskState.AGGREGATING, group=group.group)
                found += await self._tasks(container)
        return [codecs.open_info(info) for info in found]

    async def _tasks(self, container: Container) -> list[TaskInfo]:
        tasks: list[TaskInfo] = []
        more = True
        while more:
            page = await self.broker.inspection.tasks(container, len(tasks), PAGE)
            tasks += page.tasks
            more = page.more
        return tasks

    @contextmanager
    def calling(self, after: Callable[[], Awaitable[None]]) -> Generator[None]:
        """While the block runs, call *after* when tasks were created, before their client goes on.

        Clients then write each task by itself: in a batch, a task that *after* enqueues would wait
        for the end of the batch, and the batch for *after*.
        """
        creation = self._creation

        async def enqueue(_batcher: Batcher, plan: Plan) -> Answer:
            (answer,) = await creation.create([NewTask(plan)])
            return answer if isinstance(answer, Exception) else None

        before, self._creation.after = self._creation.after, after
        with mock.patch.object(Batcher, "enqueue", enqueue):
            try:
                yield
            finally:
                self._creation.after = before


class _Creation:
    """The creation port of a memory, with a call after each creation."""

    apart = False

    def __init__(self, port: CreationPort) -> None:
        self.after: Callable[[], Awaitable[None]] | None = None
        self._port = port

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        answers = await self._port.create(tasks)
        if self.after is not None:
            await self.after()
        return answers
