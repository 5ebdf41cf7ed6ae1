"""A group aggregator that remembers its groups, holds them while a test looks, and ends as told."""

import asyncio
from collections.abc import Collection

from pyasynq import Task
from tests.server.handlers import PATIENCE_S


class Joined:
    """Join payloads by commas; or raise, or wait.

    Attributes:
        calls: Group and payloads of each call, in order.
        cancelled: Groups whose call was told to stop.
        error: What to raise.
        answer: What to return in place of the joined task.
    """

    def __init__(
        self,
        error: BaseException | None = None,
        *,
        held: Collection[str] = (),
        answer: object = None,
    ) -> None:
        """Raise *error* if there is one; hold the groups *held* until `release`."""
        self.calls: list[tuple[str, list[bytes | None]]] = []
        self.cancelled: list[str] = []
        self.error = error
        self.answer = answer
        self._held = held
        self._released = asyncio.Event()
        self._news = asyncio.Event()

    async def __call__(self, group: str, tasks: list[Task]) -> Task:
        """Combine *tasks*."""
        payloads = [task.payload for task in tasks]
        self.calls.append((group, payloads))
        self._news.set()
        try:
            if group in self._held:
                await self._released.wait()
        except asyncio.CancelledError:
            self.cancelled.append(group)
            raise
        if self.error is not None:
            raise self.error
        return self.answer or joined(payloads)  # type: ignore[return-value]

    def release(self) -> None:
        """Let the groups that are held go on."""
        self._released.set()

    async def called(self, count: int = 1) -> list[tuple[str, list[bytes | None]]]:
        """Return the calls once there are *count*."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.calls) < count:
                self._news.clear()
                await self._news.wait()
        return self.calls


def joined(payloads: list[bytes | None]) -> Task:
    """Return the task of type ``joined`` that *payloads* become."""
    return Task("joined", b",".join(payload or b"" for payload in payloads))
