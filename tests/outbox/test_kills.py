"""Each row becomes one task, no matter where relays are killed and how many there are."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pyasynq import Task
from pyasynq.broker import Broker
from pyasynq.outbox import Outbox, Relay
from tests.cli.processes import WorkerProcess, command
from tests.outbox.outbox_rows import TASK, count, run_pending, write_many
from tests.support.fork_server import start_forked
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

IMPORTS = ("aiosqlite", "asyncpg", "pyasynq.outbox", "redis.asyncio", "sqlalchemy.ext.asyncio")
POINTS = [
    "before read",
    "before send",
    "after send",
    "before write",
    "after write",
    "before shorten",
    "after shorten",
]


@pytest.fixture
def die(database: str, redis_url: str) -> Callable[[str], Awaitable[None]]:
    """Return a function that runs a relay until it kills itself at a point."""

    async def run(point: str) -> None:
        command = ("tests.outbox.dying_relay", database, redis_url, point)
        process = start_forked(
            command, imports=IMPORTS, variables={}, folder=ROOT, output=sys.stderr.fileno()
        )
        assert await process.wait() == -signal.SIGKILL

    return run


async def finish(relay: Relay, outbox: Outbox, engine: AsyncEngine) -> None:
    """Relay the remaining rows; the database may keep a dead relay's locks for a moment."""

    async def is_empty() -> bool:
        await relay.step()
        return await count(outbox, engine) == 0

    await wait_until(is_empty)


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_relay_neither_loses_nor_repeats_a_task(
    point: str,
    die: Callable[[str], Awaitable[None]],
    outbox: Outbox,
    engine: AsyncEngine,
    relay: Relay,
    broker: Broker,
) -> None:
    written = await write_many(outbox, engine, [TASK, TASK, Task("t", task_id="mine")])
    await die(point)
    done = await run_pending(broker)
    await finish(relay, outbox, engine)
    assert done + await run_pending(broker) == written


async def test_a_row_is_enqueued_once_even_if_relay_after_relay_dies(
    die: Callable[[str], Awaitable[None]],
    outbox: Outbox,
    engine: AsyncEngine,
    relay: Relay,
    broker: Broker,
) -> None:
    written = await write_many(outbox, engine, [TASK] * 3)
    await die("after send")
    done = await run_pending(broker)
    await die("after write")
    await finish(relay, outbox, engine)
    assert done + await run_pending(broker) == written


async def test_many_relays_enqueue_each_row_once(
    outbox: Outbox, engine: AsyncEngine, make_relay: Callable[[], Relay], broker: Broker
) -> None:
    done: list[str] = []

    async def all_are_relayed() -> bool:
        done.extend(await run_pending(broker))
        return await count(outbox, engine) == 0

    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(make_relay().running()) for _ in range(4)]
        written = [await write_many(outbox, engine, [TASK] * 50) for _ in range(8)]
        await wait_until(all_are_relayed)
    done += await run_pending(broker)
    assert len(relays) == 4
    assert sorted(done) == sorted(task_id for ids in written for task_id in ids)


class KilledRelays:
    """Relays in processes of their own, which are killed one after another."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._stack = AsyncExitStack()
        self._relays: list[WorkerProcess] = []

    async def __aenter__(self) -> Self:
        for _ in range(3):
            await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def replace_one(self) -> None:
        self._relays.pop(0).send(signal.SIGKILL)
        await self._start()

    async def _start(self) -> None:
        relay = command("relay", "tests.cli.relays", environ=self._environ)
        self._relays.append(await self._stack.enter_async_context(relay))


async def test_relays_that_are_killed_at_work_enqueue_each_row_once(
    database: str, redis_url: str, outbox: Outbox, engine: AsyncEngine, broker: Broker
) -> None:
    written: list[str] = []
    done: list[str] = []

    async def most_are_done() -> bool:
        done.extend(await run_pending(broker))
        return len(done) >= len(written) - 100

    async def write_and_kill(relays: KilledRelays) -> None:
        written.extend(await write_many(outbox, engine, [TASK] * 200))
        await wait_until(most_are_done)
        await relays.replace_one()  # while a hundred rows are not relayed yet

    async with KilledRelays({"TEST_DATABASE": database, "TEST_REDIS_URL": redis_url}) as relays:
        [await write_and_kill(relays) for _ in range(4)]
        await wait_until(lambda: is_empty(outbox, engine))
    done += await run_pending(broker)
    assert sorted(done) == sorted(written)


async def is_empty(outbox: Outbox, engine: AsyncEngine) -> bool:
    return await count(outbox, engine) == 0


async def test_relays_that_read_the_same_rows_enqueue_them_once(
    outbox: Outbox, engine: AsyncEngine, make_relay: Callable[[], Relay], broker: Broker
) -> None:
    written = await write_many(outbox, engine, [TASK] * 300)
    await asyncio.gather(*(make_relay().step() for _ in range(4)))
    assert sorted(await run_pending(broker)) == sorted(written)
    assert await count(outbox, engine) == 0
