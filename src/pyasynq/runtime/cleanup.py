"""Finish a clean-up, however often the asyncio task that does it is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def _ignore() -> None: ...


async def run_to_end(
    work: Callable[[], Coroutine[Any, Any, T]], *, on_cancel: Callable[[], None] = _ignore
) -> T:
    """Finish *work*; raise a cancellation that comes meanwhile once it has ended.

    An asyncio task may be cancelled again while it cleans up; anyio cancels it on every turn of
    the loop until the scope is left. So the work runs in a separate asyncio task. The end of a loop
    cancels that task, too: then the work begins again.

    Args:
        work: Makes the coroutine; it must end in a bounded time, and may be called again after half
            of the work is done.
        on_cancel: Called at each cancellation.
    """
    cancelled: asyncio.CancelledError | None = None
    while True:
        job = asyncio.create_task(work())
        while not job.done():
            try:
                await asyncio.wait([job])
            except asyncio.CancelledError as error:
                cancelled = error
                on_cancel()
        if not job.cancelled() or not job.cancelling():
            break
        on_cancel()
    if cancelled is None:
        return job.result()
    try:
        raise cancelled
    finally:
        job.result()  # an error of the work wins, with the cancellation as its context
