"""Read the keys of Redis, in tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from pyasynq.broker.redis import lua, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import Call, Script
from pyasynq.core.message import TaskMessage
from tests.support.factories import a_message

PORTS = [import_module(f"{lua.__name__}.{port.name}") for port in iter_modules(lua.__path__)]
SCRIPTS = [found for port in PORTS for found in vars(port).values() if isinstance(found, Script)]
"""All scripts."""

Q = "asynq:{q}:"
PENDING = f"{Q}pending"
ACTIVE = f"{Q}active"
LEASE = f"{Q}lease"
SCHEDULED = f"{Q}scheduled"
RETRY = f"{Q}retry"
ARCHIVED = f"{Q}archived"
COMPLETED = f"{Q}completed"
GROUPS = f"{Q}groups"
GROUP = f"{Q}g:g"
LOCK_KEY = f"{Q}unique:t:0cc1"


def task_key(task_id: str = "1") -> str:
    return f"{Q}t:{task_id}"


async def fields(r: Redis, task_id: str = "1") -> dict[bytes, bytes]:
    """Return the hash of a task."""
    return cast("dict[bytes, bytes]", await r.hgetall(task_key(task_id)))


async def state(r: Redis, task_id: str = "1") -> bytes | None:
    """Return the state that the hash of a task names; None if there is no hash."""
    return (await fields(r, task_id)).get(b"state")


async def stored(r: Redis, task_id: str = "1") -> TaskMessage:
    """Return the message of a task."""
    return TaskMessage.FromString((await fields(r, task_id))[b"msg"])


async def listed(r: Redis, key: str) -> list[str]:
    """Return the ids in a list, the next to run first."""
    members = cast("list[bytes]", await r.lrange(key, 0, -1))
    return [member.decode() for member in reversed(members)]


@asynccontextmanager
async def broken(r: Redis, key: str) -> AsyncGenerator[None]:
    """Have *key* of a type that no key of ours has while the block runs."""
    before = await r.dump(key)
    await r.delete(key)
    await r.xadd(key, {"a": "wrong type"})
    yield
    await r.delete(key)
    if before is not None:
        await r.restore(key, 0, before)


async def scored(r: Redis, key: str) -> dict[str, float]:
    """Return the scores of a sorted set by member."""
    members = await r.zrange(key, 0, -1, withscores=True)
    return {member.decode(): score for member, score in cast("list[tuple[bytes, float]]", members)}


async def counters(r: Redis) -> dict[str, int]:
    """Return the counters by the rest of their keys, with ``today`` for today's date."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    keys = [key.decode() for key in cast("list[bytes]", await r.keys(f"{Q}*ed*"))]
    names = [key for key in keys if key.split(":")[2] in {"processed", "failed"}]
    return {
        name.removeprefix(Q).replace(today, "today"): int(await r.get(name) or 0) for name in names
    }


async def everything(r: Redis) -> dict[bytes, bytes]:
    """Return every key with its content."""
    names = cast("list[bytes]", await r.keys())
    return {key: cast("bytes", await r.dump(key)) for key in sorted(names)}


async def go_takes(r: Redis, task_id: str = "1", *, lease_ends_s: int) -> None:
    """Put a task into active as a Go worker does: without an owner."""
    message = a_message(task_id)
    await r.hset(task_key(task_id), mapping={"msg": message.SerializeToString(), "state": "active"})
    await r.lpush(ACTIVE, task_id)
    await r.zadd(LEASE, {task_id: lease_ends_s})


def record_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Call, Any]]:
    """Return a list that gains each later call of the script *name*, with its reply."""
    seen: list[tuple[Call, Any]] = []
    run = pipeline.run

    async def watching(driver: Driver, call: Call) -> object:
        reply = await run(driver, call)
        if call.script.name == name:
            seen.append((call, reply))
        return reply

    monkeypatch.setattr(pipeline, "run", watching)
    return seen
