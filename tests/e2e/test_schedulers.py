"""Schedulers are killed, frozen and cut off from Redis: every tick is enqueued, and only once."""

import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis

from tests.cli.processes import WorkerProcess, command
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.ticking:app"
PENDING = "asynq:{default}:pending"
LAST = "asynq:{default}:scheduler_last:*"


class Ticks:
    """The tasks that the schedulers of one entry have enqueued; no worker takes them."""

    def __init__(self, r: Redis, began_s: int = 0) -> None:
        """Read with *r* the entry that began at *began_s*, Unix seconds."""
        self._r = r
        self.began_s = began_s

    async def note_start(self) -> None:
        """Note when the entry began."""
        await wait_until(lambda: self._r.keys(LAST))
        last_s, count = await self._read()
        self.began_s = last_s - count

    async def reach(self, count: int) -> None:
        """Return when *count* tasks have been enqueued."""
        await wait_until(lambda: self._has(count), 30)

    async def count_missed(self) -> int:
        """Return the number of missing ticks; it is negative if there are too many."""
        last_s, count = await self._read()
        return last_s - self.began_s - count

    async def _has(self, count: int) -> bool:
        return await self._r.llen(PENDING) >= count

    async def _read(self) -> tuple[int, int]:
        """Return the last tick and the number of tasks, read in one transaction."""
        (key,) = cast("list[bytes]", await self._r.keys(LAST))
        async with self._r.pipeline(transaction=True) as pipeline:
            last_s, count = await cast("Any", pipeline).get(key).llen(PENDING).execute()
        return int(last_s), count


def scheduler(server: RedisServer) -> AbstractAsyncContextManager[WorkerProcess]:
    environ = {"TICKING_REDIS": server.url}
    return command("scheduler", APP, "--log-level", "warning", environ=environ)


@asynccontextmanager
async def ticks_of(server: RedisServer, began_s: int = 0) -> AsyncGenerator[Ticks]:
    async with Redis.from_url(server.url) as r:
        yield Ticks(r, began_s)


async def seconds_pass(seconds: float) -> None:
    """Wait until ticks are missed: they go by the clock of the machine."""
    over = time.monotonic() + seconds
    await wait_until(lambda: time.monotonic() > over, 2 * seconds)


async def test_a_killed_and_restarted_scheduler_misses_and_doubles_nothing(
    own_redis: RedisServer,
) -> None:
    async with ticks_of(own_redis) as ticks:
        async with scheduler(own_redis) as first:
            await ticks.note_start()
            await ticks.reach(1)
            first.send(signal.SIGKILL)
            await first.wait_for_end()
        await seconds_pass(2)
        async with scheduler(own_redis):
            await ticks.reach(4)
        assert await ticks.count_missed() == 0


async def test_schedulers_that_are_killed_in_turn_miss_and_double_nothing(
    own_redis: RedisServer,
) -> None:
    async with ticks_of(own_redis) as ticks, scheduler(own_redis) as one:
        await ticks.note_start()
        async with scheduler(own_redis) as two:
            await ticks.reach(1)
            one.send(signal.SIGKILL)
            async with scheduler(own_redis) as three:
                await ticks.reach(3)
                two.send(signal.SIGKILL)
                await ticks.reach(4)
                three.send(signal.SIGTERM)
                await three.wait_for_end()
        assert await ticks.count_missed() == 0


async def test_a_scheduler_that_was_frozen_doubles_nothing(own_redis: RedisServer) -> None:
    async with ticks_of(own_redis) as ticks, scheduler(own_redis) as frozen:
        await ticks.note_start()
        async with scheduler(own_redis) as other:
            await ticks.reach(1)
            frozen.send(signal.SIGSTOP)
            await ticks.reach(3)
            frozen.send(signal.SIGCONT)
            await ticks.reach(4)
            other.send(signal.SIGTERM)
            await other.wait_for_end()
        await ticks.reach(5)
        assert await ticks.count_missed() == 0


async def test_ticks_that_came_while_redis_was_away_are_enqueued_later(
    own_redis: RedisServer,
) -> None:
    async with scheduler(own_redis), scheduler(own_redis):
        async with ticks_of(own_redis) as ticks:
            await ticks.note_start()
            await ticks.reach(2)
        own_redis.kill()
        await seconds_pass(3)
        own_redis.start()
        async with ticks_of(own_redis, ticks.began_s) as ticks_after:
            await ticks_after.reach(7)
            assert await ticks_after.count_missed() == 0
