"""A handler that remembers its tasks, holds them while a test looks, and ends as told."""

import asyncio
import threading
from collections.abc import Sequence

from pyasynq import ActiveTask, Server
from pyasynq.server.actors import ServerActors

PATIENCE_S = 20.0


class Handler:
    """Remember every task; then return, raise, or wait.

    Attributes:
        tasks: The tasks that began, in order.
        cancelled: Ids of those that were told to stop.
        running: How many run now.
        most: How many ran at once at most.
    """

    def __init__(self, error: BaseException | None = None, *, held: bool = False) -> None:
        """Raise *error* if there is one; if *held*, not before `release`."""
        self.tasks: list[ActiveTask] = []
        self.cancelled: list[str] = []
        self.running = 0
        self.most = 0
        self._error = error
        self._released = asyncio.Event()
        self._news = asyncio.Event()
        if not held:
            self._released.set()

    async def __call__(self, task: ActiveTask) -> None:
        """Handle one task."""
        self.tasks.append(task)
        self.running += 1
        self.most = max(self.most, self.running)
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
        """Let the tasks end, and those to come."""
        self._released.set()

    async def began(self, count: int = 1) -> Sequence[ActiveTask]:
        """Return the tasks once *count* have begun."""
        await self._until(self.tasks, count)
        return self.tasks

    async def was_cancelled(self, count: int = 1) -> Sequence[str]:
        """Return the ids of those told to stop, once there are *count*."""
        await self._until(self.cancelled, count)
        return self.cancelled

    async def _until(self, events: Sequence[object], count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(events) < count:
                self._news.clear()
                await self._news.wait()


async def work_off(server: Server, handler: object) -> None:
    """Run *server*, which was made with ``burst=True``, until its queues are empty."""
    async with asyncio.timeout(PATIENCE_S):
        await server.run(handler)  # type: ignore[arg-type]


def crew_of(server: Server) -> ServerActors:
    """Return the actors of a running *server*."""
    assert server._actors is not None
    return server._actors


def until_cancelled(task: ActiveTask) -> None:
    """Return when *task* is told to stop, as a plain handler that looks now and then."""
    pause = threading.Event()
    while not task.cancelled:
        pause.wait(0.01)
