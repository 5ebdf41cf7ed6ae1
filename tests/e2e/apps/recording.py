"""Tasks that record when they begin and end, for workers in separate processes.

``RECORDING_REDIS`` is the address of Redis, ``RECORDING_FILE`` the file to which each process
appends, and ``RECORDING_LEASE_S`` the lease in seconds, 30 by default.
"""

import asyncio
import os
import time
from datetime import timedelta

from pyasynq import ActiveTask, App

app = App(
    os.environ["RECORDING_REDIS"],
    lease=timedelta(seconds=int(os.environ.get("RECORDING_LEASE_S", "30"))),
)


def note(event: str, task: ActiveTask) -> None:
    """Append one line, in one write, so that lines of several processes do not mix."""
    line = f"{event} {task.id} {os.getpid()} {time.time()}\n"
    file = os.open(os.environ["RECORDING_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


@app.task("work")
async def work(task: ActiveTask, seconds: float = 0) -> None:
    """Take some time."""
    note("began", task)
    await asyncio.sleep(seconds)
    note("ended", task)


@app.task("hang once")
async def hang_once(task: ActiveTask) -> None:
    """Hang in the first run; succeed in the next."""
    note("began", task)
    await asyncio.sleep(0 if task.retried else 3600)
    note("ended", task)


@app.task("hang in thread")
def hang_in_thread(task: ActiveTask) -> None:
    """Hang where nothing can stop it."""
    note("began", task)
    time.sleep(3600)
