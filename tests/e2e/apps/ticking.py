"""A task every second, with all missed ticks, for schedulers in separate processes."""

import os

from pyasynq import App

app = App(os.environ["TICKING_REDIS"])


@app.periodic("@every 1s", catch_up="all")
@app.task("tick")
async def tick() -> None:
    """Do nothing: the tests only count enqueued tasks."""
