"""Run servers that have nothing to do.

Called as ``python -m benchmarks.idle_servers ADDRESS QUEUES COUNT...``.

Each empty line on stdin starts more of them, up to the next COUNT, each with connections of its own
as if it had a process of its own. A line of JSON with their number answers when all run.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import timedelta

import pyasynq


async def main(address: str, queues: int, steps: list[int]) -> None:
    """Start servers as the lines on stdin say, and keep them running until stdin ends."""
    names = {f"queue-{number}": 1 for number in range(queues)}
    count = 0
    async with AsyncExitStack() as stack:
        for step in steps:
            if not await asyncio.to_thread(sys.stdin.readline):
                return
            while count < step:
                server = pyasynq.Server(
                    f"redis://{address}", queues=names, blocked_warning=timedelta(0)
                )
                await stack.enter_async_context(server.running(_handle))
                count += 1
            print(json.dumps({"servers": count}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


async def _handle(task: pyasynq.ActiveTask) -> None:
    raise AssertionError(task)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), [int(count) for count in sys.argv[3:]]))
