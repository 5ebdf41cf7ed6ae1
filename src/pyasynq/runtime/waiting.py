"""Wait for the first of several coroutines."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def wait_for_first(
    *waits: Coroutine[Any, Any, object], within_s: float | None = None
) -> bool:
    """Wait until one of *waits* has ended, then cancel the others.

    Args:
        *waits: What to wait for.
        within_s: Longest wait, seconds; None for no limit.

    Returns:
        Whether the first of *waits* has ended.
    """
    jobs = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(jobs, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return jobs[0].done()
    finally:
        for job in jobs:
            job.cancel()
