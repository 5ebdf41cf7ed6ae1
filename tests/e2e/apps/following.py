"""Tasks that others follow, for workers that are killed.

``FOLLOWING_URL`` is the address of the broker, ``FOLLOWING_FILE`` the file to which each process
appends a line for each run: kind, number, id of the task, and process.
"""

import asyncio
import os
from datetime import timedelta

from pyasynq import ActiveTask, App, Outcome, SkipRetry

app = App(
    os.environ["FOLLOWING_URL"],
    queues={"default": 2, "other": 1},
    max_crashes=1000,
    retry_delay=lambda *_: timedelta(0),
)


def note(kind: str, number: int, task: ActiveTask) -> None:
    """Append one line, in one write, so that lines of several processes do not mix."""
    line = f"{kind} {number} {task.id} {os.getpid()}\n"
    file = os.open(os.environ["FOLLOWING_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def number_of(outcome: Outcome) -> int:
    """Return the number of the task that has ended."""
    return int((outcome.payload or b"").strip(b'{"number":}'))


@app.task("here")
async def here(task: ActiveTask, number: int) -> None:
    """Follow in the queue of the first task."""
    note("here", number, task)


@app.task("there", queue="other")
async def there(task: ActiveTask, number: int) -> None:
    """Follow in another queue."""
    note("there", number, task)


@app.task("succeeded", queue="other")
async def succeeded(task: ActiveTask, outcome: Outcome) -> None:
    """Follow a success."""
    note("succeeded", number_of(outcome), task)


@app.task("failed", queue="other")
async def failed(task: ActiveTask, outcome: Outcome) -> None:
    """Follow a failure for good."""
    note("failed", number_of(outcome), task)


@app.task("first", on_success=succeeded, on_failure=failed, max_retry=1000)
async def first(task: ActiveTask, number: int) -> None:
    """Add two tasks; every fourth run fails for good, and adds none."""
    task.then(here.task(number=number), there.task(number=number))
    await asyncio.sleep(0.02)
    note("first", number, task)
    if number % 4 == 0:
        raise SkipRetry("every fourth")
