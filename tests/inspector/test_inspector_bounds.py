"""No call of an inspector blocks Redis for long, however long a queue is.

The cost of a call is counted in the members it reads; ``make bench-inspector`` measures time.
"""

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from pyasynq import Inspector, TaskState
from pyasynq.broker import Container
from tests.support.factories import a_message
from tests.support.servers import RedisServer

LENGTH = 10_000
REAL = 500
RIGHT = LENGTH // 2 - 1
LEFT = LENGTH - 1
"""Tasks in both halves of the list; the first to run is at its right end."""

MOST = 5_000
"""Members that one call may read: a few for each of 1,000 tasks, never the whole queue."""

FILL = """
for n = 0, ARGV[1] - 1 do
  local id = string.format("00000000-0000-4000-8000-%012d", n)
  redis.call("LPUSH", "asynq:{q}:pending", id)
  redis.call("ZADD", "asynq:{q}:retry", 4000000000, id)
end
"""

Call = Callable[[Inspector], Awaitable[object]]


def an_id(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012}"


@pytest.fixture
def long_queue(redis_server: RedisServer) -> RedisServer:
    """Yield a Redis with thousands of ids in pending and in retry, some of which have tasks."""
    with closing(redis_server.client()) as client:
        client.sadd("asynq:queues", "q")
        client.eval(FILL, 0, LENGTH)
        pipeline = client.pipeline(transaction=False)
        for n in (*range(REAL), RIGHT, LEFT):
            message = a_message(an_id(n), payload=b"p" * 100)
            fields: Any = {"msg": message.SerializeToString(), "state": "pending"}
            pipeline.hset(f"asynq:{{q}}:t:{an_id(n)}", mapping=fields)
        pipeline.execute()
    return redis_server


async def calls_of(act: Call, server: RedisServer) -> list[list[str]]:
    """Return the calls that an inspector's action makes, each with the commands of its script."""
    with closing(server.client()) as client, server.client().monitor() as monitor:
        async with Inspector(server.url) as inspector:
            await act(inspector)
        client.echo("over")
        calls: list[list[str]] = []
        lines: Any = monitor.listen()  # the driver does not type it
        for line in lines:
            if line["client_type"] == "lua":
                calls[-1].append(line["command"])
            elif line["command"] == "ECHO over":
                break
            else:
                calls.append([line["command"]])
    return calls


def members_read(command: str) -> int:
    """Return the number of members of a list or set that *command* reads; 1 for other commands."""
    match command.split(" "):
        case ["LRANGE" | "ZRANGE", _, start, stop, *_] if int(start) < 0 <= int(stop):
            return LENGTH
        case ["LRANGE" | "ZRANGE", _, start, stop, *_] if int(stop) < 0 <= int(start):
            return LENGTH
        case ["LRANGE" | "ZRANGE", _, start, stop, *_]:
            return int(stop) - int(start) + 1
        case ["LPOS", *_, "MAXLEN", most]:
            return int(most)
        case ["LPOS" | "SMEMBERS" | "HGETALL" | "HKEYS" | "HVALS" | "KEYS" | "SORT", *_]:
            return LENGTH
        case _:
            return 1


ACTS: dict[str, Call] = {
    "counts": lambda inspector: inspector.queue_info("q"),
    "first page": lambda inspector: inspector.list_tasks("q", "pending", size=1000),
    "page amid a list": lambda inspector: inspector.list_tasks("q", "pending", page=10, size=1000),
    "page amid a set": lambda inspector: inspector.list_tasks("q", "retry", page=10, size=1000),
    "tasks with an error": lambda inspector: inspector._broker.inspection.find_errors(
        Container(queue="q", state=TaskState.RETRY), "x", 2500, 5000
    ),
    "tasks to delete with an error": lambda inspector: inspector._broker.inspection.delete_errors(
        Container(queue="q", state=TaskState.RETRY), "x", 2500, 1000
    ),
    "all pending tasks": lambda inspector: inspector.archive_all("q", "pending"),
    "all retry tasks": lambda inspector: inspector.run_all("q", "retry"),
    "the queue": lambda inspector: inspector.delete_queue("q", force=True),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_no_call_looks_at_more_than_some_thousands(
    act: Call, long_queue: RedisServer
) -> None:
    calls = await calls_of(act, long_queue)
    assert max(sum(map(members_read, call)) for call in calls) < MOST


@pytest.mark.parametrize(("number", "end"), [(RIGHT, -1), (LEFT, 1)], ids=["right", "left"])
@pytest.mark.parametrize("order", ["archive_task", "delete_task"])
async def test_one_task_of_a_list_is_sought_in_one_half_and_taken_out_from_the_nearer_end(
    order: str, number: int, end: int, long_queue: RedisServer
) -> None:
    calls = await calls_of(
        lambda inspector: getattr(inspector, order)("q", an_id(number)), long_queue
    )
    commands = [command for call in calls for command in call]
    assert max(map(members_read, commands)) <= LENGTH // 2 + 1
    assert f"LREM asynq:{{q}}:pending {end} {an_id(number)}" in commands
