"""Measure how long an inspector blocks Redis with a million tasks: ``make bench-inspector``.

tests/inspector checks that a call reads at most some thousands of items; this table shows the time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias

from benchmarks import private_redis
from benchmarks.results import log_progress
from benchmarks.table import format_table
from pyasynq import Inspector
from pyasynq.core.message import TaskMessage

MILLION: Final = 1_000_000
REAL: Final = 20_000
"""Number of ids with a task; the others are only in the lists."""

FILL: Final = """
local ids = {}
for n = ARGV[1], ARGV[1] + 4999 do
  ids[#ids + 1] = string.format("00000000-0000-4000-8000-%012d", n)
end
redis.call("LPUSH", "asynq:{q}:pending", unpack(ids))
for _, id in ipairs(ids) do
  redis.call("ZADD", "asynq:{q}:retry", 4000000000, id)
end
"""

Act: TypeAlias = Callable[[Inspector], Awaitable[object]]


def task_id_of(n: int) -> str:
    """Return the id of the *n*-th task."""
    return f"00000000-0000-4000-8000-{n:012}"


ACTS: Final[dict[str, Act]] = {
    "counts": lambda inspector: inspector.queue_info("q"),
    "first page": lambda inspector: inspector.list_tasks("q", "pending", size=1000),
    "page amid a list": lambda inspector: inspector.list_tasks("q", "pending", page=500, size=1000),
    "page amid a set": lambda inspector: inspector.list_tasks("q", "retry", page=500, size=1000),
    "a task in the middle": lambda inspector: inspector.archive_task("q", task_id_of(MILLION // 2)),
    "a task at the end": lambda inspector: inspector.delete_task("q", task_id_of(MILLION - 1)),
    "all pending tasks": lambda inspector: inspector.archive_all("q", "pending"),
    "all retry tasks": lambda inspector: inspector.run_all("q", "retry"),
    "the queue": lambda inspector: inspector.delete_queue("q", force=True),
}


def main() -> None:
    """Measure, and print a table."""
    print("\n".join(format_table(("one call, ms", "mean", "longest"), asyncio.run(_measure()))))


async def _measure() -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    async with private_redis.start() as redis:
        _fill(redis)
        redis.client.config_set("slowlog-log-slower-than", 0)
        redis.client.config_set("slowlog-max-len", MILLION)
        for name, act in ACTS.items():
            log_progress(name)
            redis.client.slowlog_reset()
            async with Inspector(f"redis://{redis.address}") as inspector:
                await act(inspector)
            durations_us = list(_read_durations_us(redis))
            mean, longest = sum(durations_us) / len(durations_us), max(durations_us)
            rows.append((name, f"{mean / 1e3:.2f}", f"{longest / 1e3:.2f}"))
    return rows


def _read_durations_us(redis: private_redis.Server) -> Iterator[int]:
    for entry in redis.client.slowlog_get(MILLION):
        yield entry["duration"]


def _fill(redis: private_redis.Server) -> None:
    log_progress(f"filling a queue with {MILLION:,} tasks")
    redis.client.sadd("asynq:queues", "q")
    pipeline = redis.client.pipeline(transaction=False)
    for start in range(0, MILLION, 5000):
        pipeline.eval(FILL, 0, start)
    for n in (*range(REAL), MILLION // 2, MILLION - 1):
        message = TaskMessage(id=task_id_of(n), queue="q", type="t", payload=b"p" * 100)
        fields = {"msg": message.SerializeToString(), "state": "pending"}
        pipeline.hset(f"asynq:{{q}}:t:{task_id_of(n)}", mapping=fields)
    pipeline.execute()


if __name__ == "__main__":
    main()
