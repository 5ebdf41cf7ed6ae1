"""A task every second, of which no tick may be lost, for schedulers in processes of their own."""

import os

from pyasynq import App

app = App(os.environ["TICKING_REDIS"])


@app.periodic("@every 1s", catch_up="all")
@app.task("tick")
async def tick() -> None:
    """Do nothing: that it is enqueued is what counts."""
