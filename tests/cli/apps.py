"""Apps that the tests of the command line name."""

import os

from pyasynq import ActiveTask, App, Task

app = App(os.environ.get("TEST_REDIS_URL"), concurrency=3)
no_app = "something else"


@app.task("print")
async def show(task: ActiveTask) -> None:
    """Say on stdout which task ran."""
    print(f"ran {task.id}", flush=True)  # noqa: T201 - what the test reads


@app.periodic("@every 1s")
@app.task("often")
async def often() -> None:
    """Be enqueued every second."""


@app.task("forget")
async def forget() -> None:
    """Forget to await, as handlers sometimes do."""
    app.client.enqueue(Task("print"))  # type: ignore[unused-coroutine]
