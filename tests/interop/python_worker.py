"""A Python worker as a process of its own, to be killed; it tells what Go's ``peer work`` tells.

python -m tests.interop.python_worker REDIS_URL QUEUE SECONDS
"""

import asyncio
import base64
import json
import os
import sys

from pyasynq import ActiveTask, Server


def tell(event: str, **more: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


async def main(redis: str, queue: str, seconds: str) -> None:
    """Work on *queue*; every task runs for *seconds*."""

    async def handle(task: ActiveTask) -> None:
        told = {
            "id": task.id,
            "type": task.type,
            "payload": base64.b64encode(task.payload).decode(),
            "queue": task.queue,
            "retried": task.retried,
        }
        tell("start", **told)
        await asyncio.sleep(float(seconds))
        tell("done", **told)

    server = Server(redis, queues={queue: 1}, concurrency=10)
    async with server.running(handle):
        tell("ready", pid=os.getpid())
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
