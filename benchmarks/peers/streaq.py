"""streaq: anyio, Redis stream."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from streaq import Worker

from benchmarks.tally import record_task


class Streaq:
    """Results and log lines are off."""

    def __init__(self, redis: str) -> None:
        self._url = f"redis://{redis}"
        self._open(concurrency=1)

    def _open(self, concurrency: int) -> None:
        self._worker = Worker(self._url, concurrency=concurrency, handle_signals=False)
        self._handle = self._worker.task(name="handle", ttl=0, silent=True)(_handle)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        async with self._worker:
            yield

    async def enqueue(self, payload: str) -> None:
        await self._handle.enqueue(payload)

    async def enqueue_many(self, payloads: Sequence[str]) -> None:
        await self._worker.enqueue_many([self._handle.enqueue(payload) for payload in payloads])

    async def work(self, concurrency: int) -> None:
        self._open(concurrency)
        await self._worker.run_async()


async def _handle(payload: str) -> None:
    record_task(payload)


connect = Streaq
