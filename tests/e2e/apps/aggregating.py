"""A group aggregator that writes down that it began, and may hang, for workers to be killed.

``RECORDING_REDIS`` names the Redis, ``RECORDING_FILE`` the file, and ``AGGREGATING_S`` how long a
group takes. What groups become runs much later, so that a test can look at it.
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
