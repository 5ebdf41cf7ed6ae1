"""Do something for many items, for a few of them at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

AT_ONCE: Final = 16
"""Calls that run together."""

Item = TypeVar("Item")
T = TypeVar("T")


async def gather(items: Sequence[Item], read: Callable[[Item], Awaitable[T]]) -> list[T]:
    """Return what *read* returns for each of *items*; up to `AT_ONCE` calls run together.

    The first error stops the others and is raised.
    """
    free = asyncio.Semaphore(AT_ONCE)

    async def read_one(item: Item) -> T:
        async with free:
            return await read(item)

    try:
        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(read_one(item)) for item in items]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [job.result() for job in jobs]
