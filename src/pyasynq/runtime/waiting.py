"""Wait for whatever comes first."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def wait_for_first(
    *waits: Coroutine[Any, Any, object], within_s: float | None = None
) -> bool:
    """Wait until one of *waits* is over, at most *within_s* seconds; then cancel the others.

    Returns:
        Whether the one that was named first is over.
    """
    jobs = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(jobs, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return jobs[0].done()
    finally:
        for job in jobs:
            job.cancel()
