"""An app whose task appends its id to the file ``DONE_FILE``, for workers that are killed."""

import os
from datetime import timedelta

from pyasynq import ActiveTask, App, Task
from tests.e2e.sqlite.producing import note


def at_once(_retried: int, _error: Exception, _task: Task) -> timedelta:
    """Return no delay."""
    return timedelta(0)


app = App(
    os.environ["PYASYNQ_URI"], lease=timedelta(seconds=10), retry_delay=at_once, max_crashes=1000
)

done = os.open(os.environ["DONE_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


@app.task("note", max_retry=1000)
async def write_note(task: ActiveTask) -> None:
    """Note that the task has run."""
    note(done, [task.id])
