"""How long an inspector holds Redis, with a million tasks in a queue: ``make bench-inspector``.

That a call looks at some thousands of things at most is for tests/inspector; what that takes is for
this table.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias

from benchmarks import private_redis
from benchmarks.results import tell
from benchmarks.table import grid
from pyasynq import Inspector
from pyasynq.core.message import TaskMessage

MILLION: Final = 1_000_000
REAL: Final = 20_000
"""Ids with a task behind them; the others are in the list alone."""

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


def an_id(n: int) -> str:
    """Return the id of the *n*-th task."""
    return f"00000000-0000-4000-8000-{n:012}"


ACTS: Final[dict[str, Act]] = {
    "counts": lambda inspector: inspector.queue_info("q"),
    "first page": lambda inspector: inspector.list_tasks("q", "pending", size=1000),
    "page amid a list": lambda inspector: inspector.list_tasks("q", "pending", page=500, size=1000),
    "page amid a set": lambda inspector: inspector.list_tasks("q", "retry", page=500, size=1000),
    "a task in the middle": lambda inspector: inspector.archive_task("q", an_id(MILLION // 2)),
    "a task at the end": lambda inspector: inspector.delete_task("q", an_id(MILLION - 1)),
    "all pending tasks": lambda inspector: inspector.archive_all("q", "pending"),
    "all retry tasks": lambda inspector: inspector.run_all("q", "retry"),
    "the queue": lambda inspector: inspector.delete_queue("q", force=True),
}


def main() -> None:
    """Measure, and print a table."""
    print("\n".join(grid(("one call, ms", "mean", "longest"), asyncio.run(_measured()))))


async def _measured() -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    async with private_redis.fresh() as redis:
        _fill(redis)
        redis.client.config_set("slowlog-log-slower-than", 0)
        redis.client.config_set("slowlog-max-len", MILLION)
        for name, act in ACTS.items():
            tell(name)
            redis.client.slowlog_reset()
            async with Inspector(f"redis://{redis.address}") as inspector:
                await act(inspector)
            taken_us = list(_taken_us(redis))
            mean, longest = sum(taken_us) / len(taken_us), max(taken_us)
            rows.append((name, f"{mean / 1e3:.2f}", f"{longest / 1e3:.2f}"))
    return rows


def _taken_us(redis: private_redis.Server) -> Iterator[int]:
    for entry in redis.client.slowlog_get(MILLION):
        yield entry["duration"]


def _fill(redis: private_redis.Server) -> None:
    tell(f"filling a queue with {MILLION:,} tasks")
    redis.client.sadd("asynq:queues", "q")
    pipeline = redis.client.pipeline(transaction=False)
    for start in range(0, MILLION, 5000):
        pipeline.eval(FILL, 0, start)
    for n in (*range(REAL), MILLION // 2, MILLION - 1):
        message = TaskMessage(id=an_id(n), queue="q", type="t", payload=b"p" * 100)
        fields = {"msg": message.SerializeToString(), "state": "pending"}
        pipeline.hset(f"asynq:{{q}}:t:{an_id(n)}", mapping=fields)
    pipeline.execute()


if __name__ == "__main__":
    main()
