"""Measure what readers of the dashboard's stream cost: ``make bench-dashboard-streams``.

Each pair drains the same number of tasks twice, once while ten clients read the stream, in changing
order. It compares the CPU time of the worker and of Redis for a task.
"""

import argparse
import asyncio
import contextlib
import socket
import statistics
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import httpx
import uvicorn

from benchmarks import private_redis, programs
from benchmarks.installed import PythonRun
from benchmarks.results import log_progress
from benchmarks.roster import PYASYNQ
from benchmarks.table import format_table
from pyasynq.dashboard import Dashboard

PAIRS: Final = 9
READERS: Final = 10
PATIENCE_S: Final = 600
RUN: Final = PythonRun(PYASYNQ, Path(sys.executable), "", uvloop=False)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--tasks", type=int, default=20_000)
    given = parser.parse_args()
    figures = asyncio.run(_measure(given.pairs, given.tasks))
    rows: list[tuple[str, ...]] = []
    for name in ("worker", "Redis"):
        without, reading = figures[name, False], figures[name, True]
        ratios = [new / old for old, new in zip(without, reading, strict=True)]
        numbers = (statistics.median(without), statistics.median(reading))
        change = f"{statistics.median(ratios) - 1:+.1%}"
        span = f"{min(ratios) - 1:+.1%} … {max(ratios) - 1:+.1%}"
        rows.append((f"{name}, CPU µs a task", *(f"{it:.1f}" for it in numbers), change, span))
    print("\n".join(format_table(("", "alone", f"{READERS} readers", "median", "span"), rows)))


async def _measure(pairs: int, tasks: int) -> dict[tuple[str, bool], list[float]]:
    figures: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for pair in range(pairs):
        log_progress(f"pair {pair + 1} of {pairs}")
        for is_read in (pair % 2 == 0, pair % 2 == 1):
            async with private_redis.start() as redis:
                await _ask("enqueue", redis, tasks, "--how=many")
                async with contextlib.AsyncExitStack() as stack:
                    if is_read:
                        await stack.enter_async_context(_reading(redis.address))
                    before, _ = redis.cpu_us()
                    record = await _ask("drain", redis, tasks, "--concurrency=100")
                    after, _ = redis.cpu_us()
            figures["worker", is_read].append(float(record["cpu_us"]))
            figures["Redis", is_read].append((after - before) / tasks)
    return figures


async def _ask(verb: str, redis: private_redis.Server, tasks: int, *flags: str) -> programs.Record:
    command = RUN.command(verb, redis.address, f"--n={tasks}", f"--limit={PATIENCE_S}", *flags)
    return await programs.read_answer(command, PATIENCE_S)


@contextlib.asynccontextmanager
async def _reading(address: str) -> AsyncGenerator[None]:
    """Have clients read the stream of a dashboard while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dashboard = Dashboard(f"redis://{address}")
        server = uvicorn.Server(uvicorn.Config(dashboard, log_level="error"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1/events"
        started = [asyncio.Event() for _ in range(READERS)]
        readers = [asyncio.create_task(_read(url, event)) for event in started]
        await asyncio.gather(*(event.wait() for event in started))
        try:
            yield
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.wait(readers)
            dashboard.end_streams()
            server.should_exit = True
            await serving


async def _read(url: str, started: asyncio.Event) -> None:
    async with httpx.AsyncClient(timeout=None) as http, http.stream("GET", url) as response:
        async for _ in response.aiter_bytes():
            started.set()


if __name__ == "__main__":
    main()
