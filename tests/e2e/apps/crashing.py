"""Tasks that succeed, and one that kills its worker, for workers in separate processes.

``CRASHING_REDIS`` is the address of Redis.
"""

import asyncio
import os
import signal
from datetime import timedelta

from pyasynq import App, Task


def short_delay(_retried: int, _error: Exception, _task: Task) -> timedelta:
    """Return a delay that is short enough for a test."""
    return timedelta(seconds=1)


# Two crashes instead of three, to make the test faster.
app = App(os.environ["CRASHING_REDIS"], retry_delay=short_delay, max_crashes=2)


@app.task("work", max_retry=3)
async def work() -> None:
    """Take some time."""
    await asyncio.sleep(0.1)


@app.task("kill", max_retry=3)
async def kill() -> None:
    """Kill the worker, as the kernel kills a process that uses too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
