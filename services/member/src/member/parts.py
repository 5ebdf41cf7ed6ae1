"""One contract for everything that runs side by side in the program."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

Start: TypeAlias = Callable[[str], None]
Stop: TypeAlias = asyncio.Event


class Part(Protocol):
    """Something that starts, runs until it is told to stop, and then drains."""

    async def run(self, started: Start, stop: Stop) -> None:
        """Run until *stop*; call *started* once, with the address, when it is ready."""
        ...


async def start(group: asyncio.TaskGroup, part: Part, stop: Stop) -> str:
    """Start *part* in *group*, wait until it is ready, and return its address.

    If the part fails first, the group ends the caller and raises what it raised.
    """
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    group.create_task(part.run(ready.set_result, stop))
    return await ready


async def first(*events: asyncio.Event) -> None:
    """Return once one of *events* is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
