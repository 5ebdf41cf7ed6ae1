"""Enqueue tasks until killed: ``python -m tests.e2e.sqlite.producing URL RUN FILE``.

The ids of accepted tasks, which begin with RUN, are appended to FILE.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Iterator

from pyasynq import Client, Task, TaskInfo

BATCH = 25

ID_BYTES = len("000001-0000000001\n")
"""Length of a line."""


def note(file: int, ids: list[str]) -> None:
    """Append lines, in one write, so that lines of several processes do not mix."""
    os.write(file, "".join(f"{task_id}\n" for task_id in ids).encode())


async def enqueue(client: Client, ids: Iterator[str], file: int) -> None:
    """Enqueue tasks one after another and in batches, without end."""
    while True:
        tasks = [Task("note", b"{}", task_id=next(ids)) for _ in range(BATCH)]
        single = await client.enqueue_many([tasks.pop()])
        infos = [*single, *await client.enqueue_many(tasks)]
        note(file, [info.id for info in infos if isinstance(info, TaskInfo)])


async def main(url: str, run: str, path: str) -> None:
    """Let two callers share a client."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ids = (f"{run:0>6}-{number:010}" for number in itertools.count())
    async with Client(url) as client:
        await asyncio.gather(enqueue(client, ids, file), enqueue(client, ids, file))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
