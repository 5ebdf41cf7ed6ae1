"""Apps for the tests of the command line."""

import os

from pyasynq import ActiveTask, App, Task
from tests.support.codecs import Zlib

app = App(os.environ.get("TEST_REDIS_URL"), concurrency=3)
sealing = App(codecs=[Zlib()])
no_app = "something else"


@app.task("print")
async def show(task: ActiveTask) -> None:
    """Print the id of the task."""
    print(f"ran {task.id}", flush=True)  # noqa: T201 - the test reads it


@sealing.mux.handle("image:")
async def resize(_task: ActiveTask) -> None:
    """Take any payload."""


@app.periodic("@every 1s")
@app.task("often")
async def often() -> None:
    """Be enqueued every second."""


@app.task("email:verify", queue="mail", max_retry=3)
async def verify(membername: str, *, again: bool = False) -> None:
    """Take arguments."""


@app.task("forget")
async def forget() -> None:
    """Forget to await, as handlers sometimes do."""
    app.client.enqueue(Task("print"))  # type: ignore[unused-coroutine]
