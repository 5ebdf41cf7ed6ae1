"""A relay in a process of its own, which is killed where it is told.

``python -m tests.outbox.dying DATABASE REDIS POINT``, where POINT is ``before`` or ``after`` and a
step: ``before send``.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from pyasynq import Client
from pyasynq.outbox import Outbox, Relay


def die_at(relay: Relay, point: str) -> None:
    """Let SIGKILL end this process before or after a step of *relay*."""
    when, step = point.split()
    real: Callable[..., Awaitable[Any]] = getattr(relay, f"_{step}")

    async def deadly(*args: object) -> None:
        if when == "after":
            await real(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(relay, f"_{step}", deadly)


async def main(database: str, redis: str, point: str) -> None:
    """Relay, and die."""
    relay = Relay(Outbox(), create_async_engine(database), Client(redis))
    die_at(relay, point)
    await relay.step()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
