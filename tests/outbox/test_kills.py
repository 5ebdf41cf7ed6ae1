"""Wherever a relay is killed, and however many there are: one task for each row, none lost."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pyasynq import Task
from pyasynq.broker import Broker
from pyasynq.outbox import Outbox, Relay
from tests.outbox.writing import TASK, count, work_off, write_many
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

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
    """Return what runs a relay until it is killed at a point."""

    async def run(point: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.outbox.dying", database, redis_url, point, cwd=ROOT
        )
        assert await process.wait() == -signal.SIGKILL

    return run


async def finish(relay: Relay, outbox: Outbox, engine: AsyncEngine) -> None:
    """Relay all that is left; the database may hold a dead relay's locks for a moment."""

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
    done = await work_off(broker)
    await finish(relay, outbox, engine)
    assert done + await work_off(broker) == written


async def test_a_row_is_enqueued_once_even_if_relay_after_relay_dies(
    die: Callable[[str], Awaitable[None]],
    outbox: Outbox,
    engine: AsyncEngine,
    relay: Relay,
    broker: Broker,
) -> None:
    written = await write_many(outbox, engine, [TASK] * 3)
    await die("after send")
    done = await work_off(broker)
    await die("after write")
    await finish(relay, outbox, engine)
    assert done + await work_off(broker) == written


async def test_many_relays_enqueue_each_row_once(
    outbox: Outbox, engine: AsyncEngine, make_relay: Callable[[], Relay], broker: Broker
) -> None:
    done: list[str] = []

    async def all_are_relayed() -> bool:
        done.extend(await work_off(broker))
        return await count(outbox, engine) == 0

    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(make_relay().running()) for _ in range(4)]
        written = [await write_many(outbox, engine, [TASK] * 50) for _ in range(8)]
        await wait_until(all_are_relayed, 20)
    done += await work_off(broker)
    assert len(relays) == 4
    assert sorted(done) == sorted(task_id for ids in written for task_id in ids)


async def test_relays_that_read_the_same_rows_enqueue_them_once(
    outbox: Outbox, engine: AsyncEngine, make_relay: Callable[[], Relay], broker: Broker
) -> None:
    written = await write_many(outbox, engine, [TASK] * 300)
    await asyncio.gather(*(make_relay().step() for _ in range(4)))
    assert sorted(await work_off(broker)) == sorted(written)
    assert await count(outbox, engine) == 0
