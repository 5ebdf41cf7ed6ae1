"""A group aggregator that records its calls, and waits or fails as the test says."""

import asyncio
from collections.abc import Collection

from pyasynq import Task
from tests.server.handlers import PATIENCE_S


class Joiner:
    """Join payloads by commas; or raise, or wait.

    Attributes:
        calls: Group and payloads of each call, in order.
        cancelled: Groups whose call was cancelled.
        error: What to raise; None raises nothing.
        answer: What to return instead of the joined task.
    """

    def __init__(
        self,
        error: BaseException | None = None,
        *,
        hold: Collection[str] = (),
        answer: object = None,
    ) -> None:
        """Raise *error* if there is one; let the groups in *hold* wait until `release`."""
        self.calls: list[tuple[str, list[bytes | None]]] = []
        self.cancelled: list[str] = []
        self.error = error
        self.answer = answer
        self._hold = hold
        self._released = asyncio.Event()
        self._news = asyncio.Event()

    async def __call__(self, group: str, tasks: list[Task]) -> Task:
        """Combine *tasks*."""
        payloads = [task.payload for task in tasks]
        self.calls.append((group, payloads))
        self._news.set()
        try:
            if group in self._hold:
                await self._released.wait()
        except asyncio.CancelledError:
            self.cancelled.append(group)
            raise
        if self.error is not None:
            raise self.error
        return self.answer or join_payloads(payloads)  # type: ignore[return-value]

    def release(self) -> None:
        """Let the waiting groups go on."""
        self._released.set()

    async def wait_for_calls(self, count: int = 1) -> list[tuple[str, list[bytes | None]]]:
        """Return the calls once there are *count*."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.calls) < count:
                self._news.clear()
                await self._news.wait()
        return self.calls


def join_payloads(payloads: list[bytes | None]) -> Task:
    """Return a task of type ``joined`` with all *payloads*."""
    return Task("joined", b",".join(payload or b"" for payload in payloads))
