"""A handler that records its tasks, and waits or fails as the test says."""

import asyncio
import threading
from collections.abc import Sequence

from pyasynq import ActiveTask, Server
from pyasynq.server.actors import ServerActors
from pyasynq.server.queue_actors import QueueActors

PATIENCE_S = 60.0


class Handler:
    """Record every task; then return, raise, or wait.

    Attributes:
        tasks: The tasks that began, in order.
        cancelled: Ids of the tasks that were cancelled.
        running: Number of tasks that run now.
        max_running: Largest number of tasks that ran at once.
    """

    def __init__(self, error: BaseException | None = None, *, hold: bool = False) -> None:
        """Raise *error* if there is one; with *hold*, wait for `release` first."""
        self.tasks: list[ActiveTask] = []
        self.cancelled: list[str] = []
        self.running = 0
        self.max_running = 0
        self._error = error
        self._released = asyncio.Event()
        self._news = asyncio.Event()
        if not hold:
            self._released.set()

    async def __call__(self, task: ActiveTask) -> None:
        """Handle one task."""
        self.tasks.append(task)
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        self._news.set()
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            self.cancelled.append(task.id)
            self._news.set()
            raise
        finally:
            self.running -= 1
        if self._error is not None:
            raise self._error

    @property
    def ids(self) -> list[str]:
        """The ids of the tasks that began, in order."""
        return [task.id for task in self.tasks]

    def release(self) -> None:
        """Let the running tasks and all later ones end."""
        self._released.set()

    async def wait_for_tasks(self, count: int = 1) -> Sequence[ActiveTask]:
        """Return the tasks once *count* have begun."""
        await self._until(self.tasks, count)
        return self.tasks

    async def wait_for_cancelled(self, count: int = 1) -> Sequence[str]:
        """Return the ids of cancelled tasks, once there are *count*."""
        await self._until(self.cancelled, count)
        return self.cancelled

    async def _until(self, events: Sequence[object], count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(events) < count:
                self._news.clear()
                await self._news.wait()


async def run_burst(server: Server, handler: object) -> None:
    """Run *server*, which was made with ``burst=True``, until its queues are empty."""
    async with asyncio.timeout(PATIENCE_S):
        await server.run(handler)  # type: ignore[arg-type]


def actors_of(server: Server) -> ServerActors:
    """Return the actors of a running *server*."""
    assert server._actors is not None
    return server._actors


def first_queue_of(server: Server) -> QueueActors:
    """Return the actors of the first queue of a running *server*."""
    return next(iter(actors_of(server).queues.by_queue.values()))


def wait_until_cancelled(task: ActiveTask) -> None:
    """Return when *task* is cancelled, as a plain handler that checks now and then."""
    pause = threading.Event()
    while not task.cancelled:
        pause.wait(0.01)
