"""Clean up to the end, however often whoever cleans up is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def _ignore() -> None: ...


async def run_to_end(
    work: Callable[[], Coroutine[Any, Any, T]], *, on_cancel: Callable[[], None] = _ignore
) -> T:
    """Do *work* to its end; cancellations that come meanwhile wait, and are raised then.

    A task may be cancelled again while it cleans up; by anyio it is on every turn of the loop,
    until the scope is left. So the work is done in a task of its own. Whoever ends a loop cancels
    that, too: then the work begins again.

    Args:
        work: What has to be done, within a bounded time, also if half of it is done.
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
        job.result()  # what the work has raised comes first, with the cancellation as its context
