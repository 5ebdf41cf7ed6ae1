"""Enqueue tasks and do some of them: ``python -m tests.e2e.sqlite.accepting URL COUNT``.

Writes a line ``accepted ID`` for each task that was accepted, ``begins ID`` before a task is done
and ``done ID`` after it.
"""

import asyncio
import os
import sys

from pyasynq.broker import open_broker
from pyasynq.broker.sqlite import checkpoints
from pyasynq.core.verdict import DONE
from tests.support.factories import a_pending, create, settle, take

LARGEST_LOG = 100_000
"""Bytes; small, so that the log is copied into the file several times."""

PAYLOAD = bytes(3000)


def say(event: str, task_id: str) -> None:
    """Write one line, in one call."""
    os.write(1, f"{event} {task_id}\n".encode())


async def main(url: str, count: int) -> None:
    """Accept tasks one after another; every second of them is then done."""
    checkpoints.MAX_LOG_BYTES, checkpoints.COMMITS = LARGEST_LOG, 2
    broker = open_broker(url)
    for number in range(count):
        assert await create(broker, [a_pending(f"{number}", payload=PAYLOAD)]) == [None]
        say("accepted", f"{number}")
        if number % 2:
            (lease,) = await take(broker)
            say("begins", lease.id)
            assert await settle(broker, lease, DONE) is True
            say("done", lease.id)
    await broker.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
