"""A typed app: tasks with parameters, a shared resource, tasks that enqueue tasks.

Start a worker, then enqueue from a second terminal::

    cd examples
    pyasynq worker newsletter:app
    python newsletter.py
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, TextIO

import pyasynq

URI = os.environ.get("PYASYNQ_URI", "sqlite:///tasks.db")  # or redis://127.0.0.1:6379

app = pyasynq.App(URI, queues={"mail": 3, "default": 1})


@app.lifespan
async def open_outbox(_app: pyasynq.App) -> AsyncGenerator[dict[str, Any]]:
    """Open the resource that handlers share; in a real program a database or an HTTP client."""
    print("the outbox is open")
    yield {"outbox": sys.stdout}
    print("the outbox is closed")


@app.task("newsletter:send", timeout=timedelta(minutes=1))
async def send_newsletter(subject: str, readers: list[str]) -> None:
    """Enqueue one mail for each reader, all in one call."""
    await app.client.enqueue_many(send_mail.task(to=reader, subject=subject) for reader in readers)


@app.task("mail:send", queue="mail", max_retry=5, retention=timedelta(hours=1))
async def send_mail(task: pyasynq.ActiveTask, to: str, subject: str) -> str:
    """Send one mail; the return value is kept for an hour as the task's result."""
    outbox: TextIO = app.state["outbox"]
    outbox.write(f"to {to}: {subject} (try {task.retried + 1})\n")
    outbox.flush()
    return f"sent to {to}"


async def main() -> None:
    """Enqueue a newsletter."""
    async with app:
        info = await send_newsletter.enqueue(
            subject="News", readers=["ann@example.org", "ben@example.org", "cho@example.org"]
        )
    print(f"enqueued {info.type} as {info.id}")


if __name__ == "__main__":
    asyncio.run(main())
