"""Measure the dashboard on a queue of a million failed tasks: ``make bench-dashboard``.

Half of the tasks wait for another try after one error, half after another. Times are CPU times of
the dashboard and of Redis, which a busy machine changes little; the rate is by the clock.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import httpx

from benchmarks import private_redis
from benchmarks.results import log_progress
from benchmarks.table import format_table
from pyasynq.core.message import TaskMessage
from pyasynq.dashboard import Dashboard

MILLION: Final = 1_000_000
BATCH: Final = 5000
ERRORS: Final = (
    "SmtpBusyError: 421 4.7.0 try again later",
    "TimeoutError: the bank did not answer",
)
QUEUES: Final = 100

MARK: Final = "00000000-0000-4000-8000-000000000000"
"""An id in the messages that the script fills in."""

FILL: Final = """
for n = ARGV[1], ARGV[2] do
  local id = string.format("00000000-0000-4000-8000-%012d", n)
  local message = ARGV[3 + n % 2]:gsub("00000000%-0000%-4000%-8000%-000000000000", id)
  redis.call("HSET", "asynq:{q}:t:" .. id, "msg", message, "state", "retry")
  redis.call("ZADD", "asynq:{q}:retry", 4000000000 + n, id)
end
"""

Act: TypeAlias = Callable[[httpx.AsyncClient], Awaitable[str]]


async def read_overview(http: httpx.AsyncClient) -> str:
    """Read what the sampler reads each second, of a hundred queues."""
    found = (await http.get("/overview")).raise_for_status().json()
    return f"{found['totals']['queues']} queues"


async def read_page(http: httpx.AsyncClient) -> str:
    """Read a page of tasks."""
    return await _search(http, "state:retry")


async def search_often(http: httpx.AsyncClient) -> str:
    """Search for an error that half of the tasks have."""
    return await _search(http, "error:bank")


async def search_never(http: httpx.AsyncClient) -> str:
    """Search for an error that no task has: one call looks at 10,000."""
    return await _search(http, "error:nothing")


async def _search(http: httpx.AsyncClient, line: str) -> str:
    response = await http.get("/tasks", params={"q": line, "limit": 50})
    found = response.raise_for_status().json()
    return f"{len(found['items'])} found, {found['looked_at']:,} looked at"


async def count(http: httpx.AsyncClient) -> str:
    """Count all tasks that match."""
    return await _run_job(http, "error:bank", dry_run=True)


async def delete(http: httpx.AsyncClient) -> str:
    """Delete all tasks that match: half of them."""
    return await _run_job(http, "error:bank", dry_run=False)


async def delete_rest(http: httpx.AsyncClient) -> str:
    """Delete all others, which need no look at them."""
    return await _run_job(http, "state:retry", dry_run=False)


async def _run_job(http: httpx.AsyncClient, line: str, *, dry_run: bool) -> str:
    began = time.perf_counter()
    response = await http.post("/jobs/delete", json={"q": line, "dry_run": dry_run})
    job = response.raise_for_status().json()
    while job["status"] == "running":
        await asyncio.sleep(0.2)
        job = (await http.get("/job", params={"id": job["id"]})).raise_for_status().json()
    took_s = time.perf_counter() - began
    if job["status"] != "done":
        raise RuntimeError(job["error"])
    number = job["matched"] if dry_run else job["done"]
    return f"{number:,} of {job['looked_at']:,}, {job['looked_at'] / took_s:,.0f} looked at per s"


ACTS: Final[dict[str, Act]] = {
    "overview": read_overview,
    "page of tasks": read_page,
    "search, frequent error": search_often,
    "search, no hit": search_never,
    "count all that match": count,
    "delete all that match": delete,
    "delete the rest": delete_rest,
}
HEADINGS: Final = ("act", "took, ms", "dashboard, CPU ms", "Redis, CPU ms", "longest call, ms", "")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=MILLION)
    rows = asyncio.run(_measure(parser.parse_args().tasks))
    print("\n".join(format_table(HEADINGS, rows)))


async def _measure(tasks: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    async with private_redis.start() as redis:
        _fill(redis, tasks)
        redis.client.config_set("slowlog-log-slower-than", 0)
        redis.client.config_set("slowlog-max-len", MILLION)
        async with Dashboard(f"redis://{redis.address}") as dashboard:
            transport = httpx.ASGITransport(dashboard)
            url = "http://localhost/api/v1"
            async with httpx.AsyncClient(transport=transport, base_url=url) as http:
                await http.get("/overview")  # opens the connections, loads the scripts
                for name, act in ACTS.items():
                    log_progress(name)
                    rows.append((name, *await _time(act, http, redis)))
    return rows


async def _time(act: Act, http: httpx.AsyncClient, redis: private_redis.Server) -> tuple[str, ...]:
    await asyncio.sleep(1.1)  # so that the overview is read again
    redis.client.slowlog_reset()
    began, cpu_us = time.perf_counter(), redis.cpu_us()[0]
    own = time.process_time()
    text = await act(http)
    took_s, own_s = time.perf_counter() - began, time.process_time() - own
    redis_ms = (redis.cpu_us()[0] - cpu_us) / 1e3
    longest_us = max(entry["duration"] for entry in redis.client.slowlog_get(MILLION))
    figures = (took_s * 1e3, own_s * 1e3, redis_ms, longest_us / 1e3)
    return (*(f"{figure:,.1f}" for figure in figures), text)


def _fill(redis: private_redis.Server, tasks: int) -> None:
    log_progress(f"filling a queue with {tasks:,} tasks")
    names = ["q", *(f"tenant-{n}" for n in range(1, QUEUES))]
    redis.client.sadd("asynq:queues", *names)
    messages = [_message(error) for error in ERRORS]
    for start in range(0, tasks, BATCH):
        redis.client.eval(FILL, 0, start, min(start + BATCH, tasks) - 1, *messages)


def _message(error: str) -> bytes:
    return TaskMessage(
        id=MARK,
        queue="q",
        type="invoice:send",
        payload=b'{"invoice": "INV-000000", "customer": 123456, "total": "1234.50"}',
        retry=25,
        retried=3,
        error_msg=error,
        last_failed_at=1_800_000_000,
        timeout=1800,
    ).SerializeToString()


if __name__ == "__main__":
    main()
