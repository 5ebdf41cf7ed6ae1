"""Steps of flows, for workers that are killed.

``FLOWING_URL`` is the address of the broker, ``FLOWING_FILE`` the file to which each process
appends a line for each run: id of the task, and process.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from datetime import timedelta

from pyasynq import ActiveTask, App, RevokeTask, SkipRetry

app = App(
    os.environ.get("FLOWING_URL"),
    queues={"q": 1, "r": 1, "s": 1},
    max_crashes=1000,
    retry_delay=lambda *_: timedelta(0),
)


@app.lifespan
async def in_silence(_: App) -> AsyncGenerator[None]:
    """Log nothing: nobody reads it, so a line for each failure would stop the worker."""
    logging.disable(logging.ERROR)
    yield


@app.task("step", max_retry=1000)
async def step(task: ActiveTask, end: str, before: list[str]) -> str:
    """End as *end* says, and return the id; *before* are results of the steps before."""
    await asyncio.sleep(0.01)
    line = f"{task.id} {os.getpid()}\n"
    file = os.open(os.environ["FLOWING_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)
    if end == "f":
        raise SkipRetry("as the graph says")
    if end == "x":
        raise RevokeTask("as the graph says")
    return task.id
