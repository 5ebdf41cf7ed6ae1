"""However long a queue is, an inspector never holds Redis for long."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from pyasynq import Inspector
from pyasynq.message import TaskMessage
from tests.servers import RedisServer

MILLION = 1_000_000
REAL = 20_000
LONGEST_US = 20_000
BUSY_US = 5 * LONGEST_US
"""What a call may seem to take on a machine that does something else in the middle of it."""

FILL = """
local ids = {}
for n = ARGV[1], ARGV[1] + 4999 do
  ids[#ids + 1] = string.format("00000000-0000-4000-8000-%012d", n)
end
redis.call("LPUSH", "asynq:{q}:pending", unpack(ids))
for _, id in ipairs(ids) do
  redis.call("ZADD", "asynq:{q}:retry", 4000000000, id)
end
"""


def an_id(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012}"


@pytest.fixture(scope="module")
def long_queue() -> Iterator[RedisServer]:
    """Yield a Redis with a million ids in pending and in retry; behind some stand tasks."""
    with RedisServer() as server, closing(server.client()) as client:
        client.sadd("asynq:queues", "q")
        pipeline = client.pipeline(transaction=False)
        for start in range(0, MILLION, 5000):
            pipeline.eval(FILL, 0, start)
        for n in (*range(REAL), MILLION // 2, MILLION - 1):
            message = TaskMessage(id=an_id(n), queue="q", type="t", payload=b"p" * 100)
            fields: Any = {"msg": message.SerializeToString(), "state": "pending"}
            pipeline.hset(f"asynq:{{q}}:t:{an_id(n)}", mapping=fields)
        pipeline.execute()
        yield server


CALLS: dict[str, Callable[[Inspector], Awaitable[object]]] = {
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


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_redis_is_held_for_some_milliseconds_only(
    call: Callable[[Inspector], Awaitable[object]], long_queue: RedisServer
) -> None:
    with closing(long_queue.client()) as client:
        client.config_set("slowlog-log-slower-than", BUSY_US)
        client.slowlog_reset()
        client.config_resetstat()
        async with Inspector(long_queue.url) as inspector:
            await call(inspector)
        means = {name: each["usec_per_call"] for name, each in client.info("commandstats").items()}
        assert {name: mean for name, mean in means.items() if mean > LONGEST_US} == {}
        assert client.slowlog_get() == []
