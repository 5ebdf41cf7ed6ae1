"""Replace a worker while tasks run, as a deployment does; no task is lost or repeated.

Run it; it needs nothing else::

    python examples/rolling_restart.py

Steps: the old worker runs tasks; after SIGTSTP it takes no more; the new worker starts; after
SIGTERM the old one ends when its running tasks have ended. The new one runs the rest.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pyasynq

URI = os.environ.get("PYASYNQ_URI", "sqlite:///tasks.db")  # or redis://127.0.0.1:6379
TASKS = 20

app = pyasynq.App(URI, queues={"rolling": 1}, concurrency=4)


@app.task("rolling:work", queue="rolling", timeout=timedelta(seconds=30))
async def work(number: int) -> None:
    """Wait for half a second, and print which release ran the task."""
    await asyncio.sleep(0.5)
    print(f"{os.environ['RELEASE']} did {number}", flush=True)


async def main() -> None:
    """Run the deployment."""
    async with app:
        await app.client.enqueue_many(work.task(number=number) for number in range(TASKS))

    old = await _start("old")
    lines = [await _read_line(old)]  # it works, so it has installed its handlers of signals
    print("-- the old worker takes no more tasks; the new one starts")
    old.send_signal(signal.SIGTSTP)
    new = await _start("new", "--burst")  # ends when the queue is empty
    print("-- the old worker ends when its running tasks have ended")
    old.terminate()

    lines += [*await _read_lines(old), *await _read_lines(new)]
    print(*lines, sep="\n")
    done = sorted(int(line.split()[-1]) for line in lines)
    print(f"-- {len(done)} tasks done, each once: {done == list(range(TASKS))}")


async def _start(release: str, *flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pyasynq", "worker", "rolling_restart:app", "--uri", URI, *flags),
        cwd=Path(__file__).parent,
        env=os.environ | {"RELEASE": release},
        stdout=asyncio.subprocess.PIPE,
    )


async def _read_line(worker: asyncio.subprocess.Process) -> str:
    assert worker.stdout is not None
    return (await worker.stdout.readline()).decode().rstrip()


async def _read_lines(worker: asyncio.subprocess.Process) -> list[str]:
    output, _ = await worker.communicate()
    return output.decode().splitlines()


if __name__ == "__main__":
    asyncio.run(main())
