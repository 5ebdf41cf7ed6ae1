"""A broker in memory is empty at first, and gone once it is closed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from pyasynq import Client, Inspector, Task
from pyasynq.broker import Broker
from pyasynq.broker.sqlite import in_memory

HOUR = timedelta(hours=1)


@pytest.fixture
async def make() -> AsyncIterator[Callable[[], Broker]]:
    """Yield a function that makes brokers in memory, which are closed at the end."""
    async with AsyncExitStack() as stack:

        def make() -> Broker:
            broker = in_memory()
            stack.push_async_callback(broker.aclose)
            return broker

        yield make


async def test_a_memory_that_another_has_used_before_is_empty(make: Callable[[], Broker]) -> None:
    first = make()
    async with Client(first) as client:
        await client.enqueue(Task("t"), unique=HOUR, queue="q")
    await first.aclose()
    second = make()
    async with Client(second) as client, Inspector(second) as inspector:
        assert await inspector.queues() == []
        assert await client.enqueue(Task("t"), unique=HOUR, queue="q")


async def test_a_late_call_does_not_reach_the_memory_of_another(make: Callable[[], Broker]) -> None:
    first = make()
    client = Client(first)
    await first.aclose()
    second = make()
    await client.enqueue(Task("t"))
    assert await second.inspection.queues() == []


async def test_two_memories_at_a_time_are_apart(make: Callable[[], Broker]) -> None:
    first, second = make(), make()
    await Client(first).enqueue(Task("t"))
    assert await second.inspection.queues() == []


async def test_who_waits_in_a_memory_that_is_closed_is_not_woken_by_the_next(
    make: Callable[[], Broker],
) -> None:
    first = make()
    waiting = asyncio.create_task(first.work.wait("default"))
    await asyncio.sleep(0)
    await first.aclose()
    await Client(make()).enqueue(Task("t"))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
