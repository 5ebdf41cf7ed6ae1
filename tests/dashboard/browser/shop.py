"""A worker with tasks in several states, for pages to show."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

import pytest

import pyasynq
from pyasynq.server.upkeep import heartbeater, historian
from tests.support.waiting import wait_until

OFTEN_S = 0.3
"""How often the worker shows itself and its counts; a user's does every 5 s."""


class ShopError(Exception):
    """What a task of the shop fails with."""


class Shop:
    """A worker that has run a task that succeeded and one that failed, and runs one that lasts.

    Attributes:
        done_id: Id of the task that succeeded.
        failed_id: Id of the task that failed and waits for its next try.
        running_id: Id of the task that runs until the shop closes.
    """

    def __init__(self, url: str, client: pyasynq.Client) -> None:
        self._client = client
        self._url = url
        self.app = pyasynq.App(url, concurrency=5, retry_delay=lambda *_: timedelta(hours=1))
        self.is_closing = asyncio.Event()
        self.done_id = self.failed_id = self.running_id = ""
        self._declare()

    def _declare(self) -> None:
        @self.app.task("shop:done", retention=timedelta(hours=1))
        async def done(order: int) -> str:
            return f"thanks for {order}"

        @self.app.task("shop:fail")
        async def fail(order: int) -> None:
            msg = "closed"
            raise ShopError(msg)

        @self.app.task("shop:run", timeout=timedelta(hours=1))
        async def run() -> None:
            await self.is_closing.wait()

        @self.app.periodic("30 9 * * 1-5")
        @self.app.task("shop:tick")
        async def tick() -> None: ...

        self._tasks = (done.task(order=6), fail.task(order=7), run.task())

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Run the worker and the scheduler until the end of the block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(heartbeater, "BEAT_S", OFTEN_S)
            patch.setattr(historian, "PERIOD_S", OFTEN_S)
            async with self.app.scheduler().running(), self.app.server().running():
                yield await self._filled()
                self.is_closing.set()

    async def _filled(self) -> Self:
        done, fail, run = self._tasks
        self.done_id = (await self._client.enqueue(done)).id
        self.failed_id = (await self._client.enqueue(fail)).id
        self.running_id = (await self._client.enqueue(run)).id
        await self._until_all_are_seen()
        return self

    async def _until_all_are_seen(self) -> None:
        """Return when the tasks have run, and the worker has reported its counts."""
        async with pyasynq.Inspector(self._url) as inspector:

            async def are_seen() -> bool:
                info = await inspector.queue_info("default", memory=False)
                runs = sum(stats.succeeded + stats.failed for stats in await inspector.type_stats())
                servers = await inspector.servers()
                is_shown = any(server.active_worker_count for server in servers)
                return info.completed == 1 and info.retry == 1 and runs == 2 and is_shown

            await wait_until(are_seen)
