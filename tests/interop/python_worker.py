"""A Python worker in a process of its own, which tests kill; writes lines as ``peer work`` does.

python -m tests.interop.python_worker REDIS_URL QUEUE SECONDS
"""

import asyncio
import base64
import json
import os
import sys

from pyasynq import ActiveTask, Server


def write_event(event: str, **more: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


async def main(redis: str, queue: str, seconds: str) -> None:
    """Work on *queue*; every task runs for *seconds*."""

    async def handle(task: ActiveTask) -> None:
        fields = {
            "id": task.id,
            "type": task.type,
            "payload": base64.b64encode(task.payload).decode(),
            "queue": task.queue,
            "retried": task.retried,
        }
        write_event("start", **fields)
        await asyncio.sleep(float(seconds))
        write_event("done", **fields)

    server = Server(redis, queues={queue: 1}, concurrency=10)
    async with server.running(handle):
        write_event("ready", pid=os.getpid())
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
