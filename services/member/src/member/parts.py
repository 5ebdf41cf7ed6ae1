"""One contract for all parts of the program that run side by side."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

Start: TypeAlias = Callable[[str], None]
Stop: TypeAlias = asyncio.Event


class Part(Protocol):
    """Something that starts, runs until *stop* is set, and then drains."""

    async def run(self, started: Start, stop: Stop) -> None:
        """Run until *stop*; call *started* once, with the address, when it is ready."""
        ...


async def start(group: asyncio.TaskGroup, part: Part, stop: Stop) -> str:
    """Start *part* in *group*, wait until it is ready, and return its address.

    If the part fails first, the group cancels the caller and raises the part's error.
    """
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    group.create_task(part.run(ready.set_result, stop))
    return await ready


async def wait_for_first(*events: asyncio.Event) -> None:
    """Return once one of *events* is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
