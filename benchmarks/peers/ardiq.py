"""ArdiQ: asyncio over a core in Rust, Redis stream."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ardiq import Ardiq

from benchmarks.tally import record_task

NO_RESULTS = 0


class ArdiqPeer:
    """Results are off."""

    def __init__(self, redis: str) -> None:
        self._url = f"redis://{redis}"
        self._open(concurrency=1)

    def _open(self, concurrency: int) -> None:
        self._app = Ardiq(self._url, concurrency=concurrency, result_ttl_ms=NO_RESULTS)
        self._handle = self._app.task(name="handle")(_handle)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        yield

    async def enqueue(self, payload: str) -> None:
        await self._handle.enqueue(payload)

    async def enqueue_many(self, payloads: Sequence[str]) -> None:
        await self._app.enqueue_many([self._handle.prepare(payload) for payload in payloads])

    async def work(self, concurrency: int) -> None:
        self._open(concurrency)
        await self._app.run()


async def _handle(payload: str) -> None:
    record_task(payload)


connect = ArdiqPeer
