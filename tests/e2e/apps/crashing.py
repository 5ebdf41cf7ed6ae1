"""Tasks that end well beside one that kills its worker, for workers in processes of their own.

``CRASHING_REDIS`` names the Redis.
"""

import asyncio
import os
import signal
from datetime import timedelta

from pyasynq import App, Task


def at_once(_retried: int, _error: Exception, _task: Task) -> timedelta:
    """Wait for no longer than a test wants to."""
    return timedelta(seconds=1)


# Two crashes instead of three: the same, sooner.
app = App(os.environ["CRASHING_REDIS"], retry_delay=at_once, max_crashes=2)


@app.task("work", max_retry=3)
async def work() -> None:
    """Take some time."""
    await asyncio.sleep(0.1)


@app.task("kill", max_retry=3)
async def kill() -> None:
    """Do as the kernel does with a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
