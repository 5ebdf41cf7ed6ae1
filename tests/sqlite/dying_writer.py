"""A program that writes orders and their tasks, and kills itself at a given point.

``python -m tests.sqlite.dying_writer PATH KIND POINT``: POINT is a key of `POINTS`, or ``never``,
which writes until somebody else kills it.
"""

import asyncio
import itertools
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from pyasynq.sqlite import Outbox
from tests.sqlite.users import KINDS, User

POINTS = {"before order": 0, "after order": 1, "after task": 2, "after commit": 3}
"""Number of steps that are done before the program dies."""


async def main(path: str, kind: str, point: str) -> None:
    """Write an order with its task, and die at *point*; or write orders forever."""
    user = KINDS[kind](Path(path), Outbox())
    await user.open()
    if point in POINTS:
        await write(user, 1, POINTS[point])
        os.kill(os.getpid(), signal.SIGKILL)
    for number in itertools.count(last_order(path) + 1):
        await write(user, number, steps=3)


async def write(user: User, number: int, steps: int) -> None:
    """Do the first *steps* of writing an order and its task."""
    done = (
        lambda: user.order(number),
        lambda: user.add(task_id=str(number)),
        user.commit,
    )
    for step in done[:steps]:
        await step()


def last_order(path: str) -> int:
    """Return the number of the last order in the file."""
    with closing(sqlite3.connect(path)) as connection:
        ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM orders")
    return int(last)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
