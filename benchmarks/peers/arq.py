"""arq: asyncio, Redis sorted set, polls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import ArqRedis, Worker, create_pool, func
from arq.connections import RedisSettings

from benchmarks.tally import record_task


class Arq:
    """Results are off. The default poll delay of 0.5 s alone would make it slow."""

    POLL_DELAY_S = 0.01

    def __init__(self, redis: str) -> None:
        host, port = redis.split(":")
        self._settings = RedisSettings(host=host, port=int(port))
        self._pool: ArqRedis | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        self._pool = await create_pool(self._settings)
        yield
        await self._pool.aclose()

    async def enqueue(self, payload: str) -> None:
        assert self._pool is not None
        await self._pool.enqueue_job("handle", payload)

    async def work(self, concurrency: int) -> None:
        worker = Worker(
            [func(_handle, name="handle")],
            redis_settings=self._settings,
            max_jobs=concurrency,
            keep_result=0,
            log_results=False,
            poll_delay=self.POLL_DELAY_S,
            handle_signals=False,
        )
        await worker.async_run()


async def _handle(_: dict[Any, Any], payload: str) -> None:
    record_task(payload)


connect = Arq
