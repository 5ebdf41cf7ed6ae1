"""A group aggregator that records its calls and may hang, for workers that are killed.

``RECORDING_REDIS`` is the address of Redis, ``RECORDING_FILE`` the file, and ``AGGREGATING_S`` the
time that a group takes. Combined tasks are delayed, so that a test can read them.
"""

import asyncio
import os
import time
from datetime import timedelta

from pyasynq import App, Task

app = App(
    os.environ["RECORDING_REDIS"],
    group_grace_period=timedelta(hours=1),
    group_max_size=10,
)


@app.aggregator
async def aggregate(group: str, tasks: list[Task]) -> Task:
    """Join payloads by commas."""
    with open(os.environ["RECORDING_FILE"], "a") as file:  # noqa: ASYNC230 - one short line
        file.write(f"began {group} {os.getpid()} {time.time()}\n")
    await asyncio.sleep(float(os.environ["AGGREGATING_S"]))
    return Task(
        "joined",
        b",".join(task.payload or b"" for task in tasks),
        process_in=timedelta(hours=1),
    )
