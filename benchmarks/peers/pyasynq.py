"""pyasynq, with its usual settings, on Redis."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pyasynq
from benchmarks.tally import record_task

TYPE = "bench:noop"


class Pyasynq:
    """Default settings except the concurrency."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = pyasynq.Client(self._url)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        async with self._client:
            yield

    async def enqueue(self, payload: str) -> None:
        await self._client.enqueue(pyasynq.Task(TYPE, payload.encode()))

    async def enqueue_many(self, payloads: Sequence[str]) -> None:
        await self._client.enqueue_many(
            [pyasynq.Task(TYPE, payload.encode()) for payload in payloads]
        )

    async def work(self, concurrency: int) -> None:
        await pyasynq.Server(self._url, concurrency=concurrency).run(_handle)


async def _handle(task: pyasynq.ActiveTask) -> None:
    assert task.payload is not None
    record_task(task.payload)


def connect(redis: str) -> Pyasynq:
    """Return pyasynq on the Redis at ``host:port``."""
    return Pyasynq(f"redis://{redis}")
