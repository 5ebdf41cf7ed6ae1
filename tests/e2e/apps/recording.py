"""Tasks that record when they begin and end, for workers in separate processes.

``RECORDING_REDIS`` is the address of Redis, ``RECORDING_FILE`` the file to which each process
appends, ``RECORDING_LEASE_S`` the lease in seconds, 30 by default, and ``RECORDING_TOLD`` a file
that ends tasks.
"""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from pyasynq import ActiveTask, App
from tests.support.waiting import wait_until

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


@app.task("work until told")
async def work_until_told(task: ActiveTask) -> None:
    """End when the test says so: when there is a file ``RECORDING_TOLD``."""
    note("began", task)
    await wait_until(Path(os.environ["RECORDING_TOLD"]).exists)
    note("ended", task)


kept: list[bytes] = []


@app.task("grow")
async def grow(task: ActiveTask, mib: int) -> None:
    """Use memory and keep it."""
    note("began", task)
    kept.append(b"x" * (mib * 2**20))


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
