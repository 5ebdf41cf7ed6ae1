"""A broker in memory is empty at first, and gone once it is closed."""

import asyncio
from datetime import timedelta

from pyasynq import Client, Inspector, Task
from pyasynq.broker.sqlite import in_memory

HOUR = timedelta(hours=1)


async def test_a_memory_that_another_has_used_before_is_empty() -> None:
    first = in_memory()
    async with Client(first) as client:
        await client.enqueue(Task("t"), unique=HOUR, queue="q")
    await first.aclose()
    second = in_memory()
    async with Client(second) as client, Inspector(second) as inspector:
        assert await inspector.queues() == []
        assert await client.enqueue(Task("t"), unique=HOUR, queue="q")


async def test_a_late_call_does_not_reach_the_memory_of_another() -> None:
    first = in_memory()
    client = Client(first)
    await first.aclose()
    second = in_memory()
    await client.enqueue(Task("t"))
    assert await second.inspection.queues() == []


async def test_two_memories_at_a_time_are_apart() -> None:
    first, second = in_memory(), in_memory()
    await Client(first).enqueue(Task("t"))
    assert await second.inspection.queues() == []


async def test_who_waits_in_a_memory_that_is_closed_is_not_woken_by_the_next() -> None:
    first = in_memory()
    waiting = asyncio.create_task(first.work.wait("default"))
    await asyncio.sleep(0)
    await first.aclose()
    await Client(in_memory()).enqueue(Task("t"))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
