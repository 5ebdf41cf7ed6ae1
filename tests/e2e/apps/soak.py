"""Run many tasks in one worker and print its memory early and late, in KiB.

python -m tests.e2e.apps.soak REDIS_URL
"""

import asyncio
import logging
import sys
from pathlib import Path

from pyasynq import ActiveTask, Client, Server, Task

ROUNDS = 20
TASKS = 2000
WARM = 5


def resident_kib() -> int:
    """Return this process's resident memory."""
    [line] = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x]
    return int(line.split()[1])


async def main(redis_url: str) -> None:
    """Run rounds of tasks, half of which fail."""
    ran = asyncio.Event()
    left = 0

    async def handle(task: ActiveTask) -> None:
        nonlocal left
        left -= 1
        if not left:
            ran.set()
        if task.type == "fail":
            raise ValueError(task.id)

    tasks = [Task("work", b"p" * 100), Task("fail", max_retry=0)] * (TASKS // 2)
    sizes: list[int] = []
    async with Client(redis_url) as client, Server(redis_url, concurrency=100).running(handle):
        for _ in range(ROUNDS):
            left = TASKS
            ran.clear()
            await client.enqueue_many(tasks)
            await ran.wait()
            sizes.append(resident_kib())
    sys.stdout.write(f"{sizes[WARM]} {sizes[-1]}\n")


if __name__ == "__main__":
    logging.disable()  # formatting thousands of tracebacks would take longer than the tasks
    asyncio.run(main(sys.argv[1]))
