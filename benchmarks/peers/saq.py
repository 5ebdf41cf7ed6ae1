"""saq: asyncio, Redis list, one blocking connection for each slot."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue, Worker

from benchmarks.tally import record_task

JOB_IS_GONE_WHEN_DONE = -1


class Saq:
    """Results are off; allows all concurrent calls of the benchmark (the default is 20)."""

    def __init__(self, redis: str) -> None:
        self._queue = Queue.from_url(f"redis://{redis}", max_concurrent_ops=1_000)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        await self._queue.connect()
        yield
        await self._queue.disconnect()

    async def enqueue(self, payload: str) -> None:
        await self._queue.enqueue("handle", payload=payload, ttl=JOB_IS_GONE_WHEN_DONE)

    async def work(self, concurrency: int) -> None:
        await self._queue.connect()
        worker = Worker[Any](self._queue, [("handle", _handle)], concurrency=concurrency)
        await worker.start()


async def _handle(_: object, *, payload: str) -> None:
    record_task(payload)


connect = Saq
