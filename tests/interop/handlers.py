"""A Python handler that records its tasks, and can keep them running for a test."""

from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from pyasynq import ActiveTask
from tests.interop.polling import PATIENCE

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Handler:
    """Records every task, then ends as its attributes say.

    Attributes:
        result: The result to write; None for no result.
        error: The error to raise; None for success.
        held: Whether a task runs until `release`.
        seconds: How long a task runs.
        tasks: The tasks so far.
        cancelled: The ids of the cancelled tasks so far.
    """

    result: bytes | None = None
    error: Exception | None = None
    held: bool = False
    seconds: float = 0
    tasks: list[ActiveTask] = field(default_factory=list[ActiveTask])
    cancelled: list[str] = field(default_factory=list[str])
    _released: anyio.Event = field(default_factory=anyio.Event)
    _news: anyio.Condition = field(default_factory=anyio.Condition)

    async def __call__(self, task: ActiveTask) -> None:
        """Handle one task."""
        await self._record(self.tasks, task)
        try:
            await self._work(task)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._record(self.cancelled, task.id)
            raise

    async def wait_for(self, count: int = 1) -> list[ActiveTask]:
        """Wait for *count* tasks; return all tasks so far."""
        return await self._wait(self.tasks, count)

    async def wait_for_cancelled(self) -> list[str]:
        """Wait for a cancelled task; return the ids of all so far."""
        return await self._wait(self.cancelled, 1)

    def release(self) -> None:
        """Let the tasks end."""
        self._released.set()

    async def _work(self, task: ActiveTask) -> None:
        if self.result is not None:
            await task.write_result(self.result)
        if self.held:
            await self._released.wait()
        await anyio.sleep(self.seconds)
        if self.error is not None:
            raise self.error

    async def _record(self, where: list[T], what: T) -> None:
        async with self._news:
            where.append(what)
            self._news.notify_all()

    async def _wait(self, where: list[T], count: int) -> list[T]:
        with anyio.fail_after(PATIENCE):
            async with self._news:
                while len(where) < count:
                    await self._news.wait()
        return where
