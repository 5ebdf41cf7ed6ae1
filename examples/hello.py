"""Enqueue two tasks, run them, and end.

Run it; it needs nothing else::

    python examples/hello.py
"""

import asyncio
import json
import os

from pyasynq import ActiveTask, Client, Mux, Server, Task

URI = os.environ.get("PYASYNQ_URI", "sqlite:///tasks.db")  # or redis://127.0.0.1:6379

mux = Mux()


@mux.handle("greet")
async def greet(task: ActiveTask) -> None:
    """Greet the person in the payload."""
    name = json.loads(task.payload)["name"]
    print(f"Hello, {name}! (task {task.id}, from the queue {task.queue!r})")


async def main() -> None:
    """Enqueue two tasks; then run a worker until the queue is empty."""
    async with Client(URI) as client:
        for name in ("Alice", "Bob"):
            await client.enqueue(Task("greet", json.dumps({"name": name}).encode()))
    await Server(URI, burst=True).run(mux)


if __name__ == "__main__":
    asyncio.run(main())
