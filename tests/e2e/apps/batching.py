"""Batches whose workers are killed.

``BATCHING_URL`` is the address of the broker, ``BATCHING_FILE`` the file to which each process
appends a line for each run: kind, number, id of the task, and process.
"""

import logging
import os
from collections.abc import AsyncGenerator
from datetime import timedelta

from pyasynq import ActiveTask, App, SkipRetry

app = App(
    os.environ["BATCHING_URL"],
    queues={"default": 2, "other": 1},
    max_crashes=1000,
    retry_delay=lambda *_: timedelta(0),
)


@app.lifespan
async def in_silence(_: App) -> AsyncGenerator[None]:
    """Log nothing: nobody reads it, so a line for each failure would stop the worker."""
    logging.disable(logging.ERROR)
    yield


def note(kind: str, number: int, task: ActiveTask) -> None:
    """Append one line, in one write, so that lines of several processes do not mix."""
    line = f"{kind} {number} {task.id} {os.getpid()}\n"
    file = os.open(os.environ["BATCHING_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


@app.task("member", max_retry=1000)
async def member(task: ActiveTask, number: int) -> None:
    """Add a member in every hundredth run."""
    if number % 100 == 7:
        task.batch.add(member.task(number=-1))
    note("member", number, task)


@app.task("unlucky", max_retry=1000)
async def unlucky(task: ActiveTask, number: int) -> None:
    """Fail for good in every tenth run."""
    note("unlucky", number, task)
    if number % 10 == 3:
        raise SkipRetry("every tenth")


@app.task("then", queue="other")
async def then(task: ActiveTask) -> None:
    """Follow members of which none has failed."""
    note("then", task.batch_outcome.total, task)


@app.task("failed", queue="other")
async def failed(task: ActiveTask) -> None:
    """Follow members of which some have failed."""
    note("failed", task.batch_outcome.failed, task)
