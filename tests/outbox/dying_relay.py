"""A relay in a process of its own, which kills itself at a given point.

``python -m tests.outbox.dying_relay DATABASE REDIS POINT``: POINT is ``before`` or ``after`` and
the name of a step, for example ``before send``.
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
    """Make this process kill itself before or after a step of *relay*."""
    when, step = point.split()
    real: Callable[..., Awaitable[Any]] = getattr(relay, f"_{step}")

    async def deadly(*args: object) -> None:
        if when == "after":
            await real(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(relay, f"_{step}", deadly)


async def main(database: str, redis: str, point: str) -> None:
    """Relay until the given point."""
    relay = Relay(Outbox(), create_async_engine(database), Client(redis))
    die_at(relay, point)
    await relay.step()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
