"""taskiq with taskiq-redis: asyncio, Redis stream, the broker that acknowledges."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.tally import record_task


class Taskiq:
    """No result backend; prefetches as many tasks as it runs (the default is 0)."""

    def __init__(self, redis: str) -> None:
        self._broker = RedisStreamBroker(f"redis://{redis}")
        self._handle = self._broker.task(task_name="handle")(_handle)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        await self._broker.startup()
        yield
        await self._broker.shutdown()

    async def enqueue(self, payload: str) -> None:
        await self._handle.kiq(payload)

    async def work(self, concurrency: int) -> None:
        await run_receiver_task(
            self._broker,
            max_async_tasks=concurrency,
            max_prefetch=concurrency,
            run_startup=True,
        )


async def _handle(payload: str) -> None:
    record_task(payload)


connect = Taskiq
