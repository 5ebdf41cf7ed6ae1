"""Read and change a queue without the library's own code."""

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from pyasynq.core.message import TaskMessage, decode

DELAYED = ("scheduled", "retry", "completed", "archived")
"""The states in which a task has an instant: it is due, deleted or was archived then."""

LISTS = ("pending", "active")
"""The states whose tasks are in a list."""


class QueueView(ABC):
    """One queue, with methods that every broker could support.

    A test that also needs keys or fields uses a `RedisQueue`.
    """

    # -- read

    @abstractmethod
    async def ids(self, state: str) -> list[str]:
        """Return the ids in *state*, except aggregating, the next to run first."""

    async def pending_ids(self) -> list[str]:
        """Return the ids of the pending tasks, the next to run first."""
        return await self.ids("pending")

    @abstractmethod
    async def members(self, group: str) -> list[str]:
        """Return the ids of the tasks in *group*, the oldest first."""

    @abstractmethod
    async def leased_ids(self) -> list[str]:
        """Return the ids of the tasks with a lease, the first to end first."""

    @abstractmethod
    async def state_of(self, task_id: str) -> str | None:
        """Return the name of the state of a task; None if there is no such task."""

    async def exists(self, task_id: str) -> bool:
        """Tell whether the task exists."""
        return await self.state_of(task_id) is not None

    @abstractmethod
    async def message(self, task_id: str) -> TaskMessage:
        """Return the message of an existing task."""

    @abstractmethod
    async def result(self, task_id: str) -> bytes | None:
        """Return the stored result of a task; None if it has none."""

    @abstractmethod
    async def crashes(self, task_id: str) -> int:
        """Return the number of workers that died with the task, in a row."""

    @abstractmethod
    async def due_at(self, task_id: str) -> float | None:
        """Return when a task runs or is deleted, or was archived, in Unix seconds.

        None if its state has no such instant.
        """

    @abstractmethod
    async def lease_end(self, task_id: str) -> float | None:
        """Return when the lease of a task ends, in Unix seconds; None without lease."""

    @abstractmethod
    async def count(self, what: str) -> int:
        """Return a counter, ``processed`` or ``failed``; the counter of today must be equal."""

    # -- change

    @abstractmethod
    async def make_due(self, *ids: str) -> None:
        """Set the instants of tasks to the past, in order, so that they run or are deleted."""

    @abstractmethod
    async def end_leases(self, *, ago_s: float = 31) -> None:
        """End all leases of the queue *ago_s* seconds ago, as if Go had written them.

        Such a lease counts as ended after 30 s more, because the clocks of machines may differ.
        """

    @abstractmethod
    async def end_lease(self, task_id: str) -> None:
        """End the lease of a task, long ago."""

    @abstractmethod
    async def lose_lease(self, task_id: str) -> None:
        """Delete the lease of a task, but leave the task active."""

    @abstractmethod
    async def take_over(self, task_id: str) -> None:
        """Make another worker the owner of an active task."""

    @abstractmethod
    async def put_poison(self, task_id: bytes, message: bytes | None) -> None:
        """Make a task the next to run, as a broken peer would; without message, only its id."""

    @abstractmethod
    async def corrupt(self, task_id: str) -> None:
        """Make the message of a task undecodable, as if a broken peer had written it."""

    @abstractmethod
    async def pause(self) -> None:
        """Pause the queue."""

    @abstractmethod
    async def resume(self) -> None:
        """Resume the queue."""


class RedisQueue(QueueView):
    """One queue, as Redis stores it."""

    def __init__(self, r: Redis, name: str = "default") -> None:
        """Read and change the queue *name* with *r*."""
        self._r: Any = r  # the driver is typed for text and bytes at once
        self._prefix = f"asynq:{{{name}}}:"

    def key(self, end: str) -> str:
        """Return the key of this queue with this *end*."""
        return self._prefix + end

    def task_key(self, task_id: str) -> str:
        """Return the key of the hash of a task."""
        return self.key(f"t:{task_id}")

    # -- read

    async def fields(self, task_id: str) -> dict[str, str]:
        """Return the fields of a task's hash, without its message."""
        found = await self._r.hgetall(self.task_key(task_id))
        return {name.decode(): value.decode() for name, value in found.items() if name != b"msg"}

    async def ids(self, state: str) -> list[str]:
        if state in LISTS:
            return _texts(await self._r.lrange(self.key(state), 0, -1))[::-1]
        return await self._sorted(state)

    async def members(self, group: str) -> list[str]:
        return await self._sorted(f"g:{group}")

    async def leased_ids(self) -> list[str]:
        return await self._sorted("lease")

    async def set_keys(self) -> list[str]:
        """Return the keys of the aggregation sets, the first to be reclaimed first."""
        return await self._sorted("aggregation_sets")

    async def reclaimed_at(self, set_key: str) -> float | None:
        """Return when the set at *set_key* may be reclaimed, in Unix seconds."""
        return await self._r.zscore(self.key("aggregation_sets"), set_key)

    async def state_of(self, task_id: str) -> str | None:
        return (await self.fields(task_id)).get("state")

    async def message(self, task_id: str) -> TaskMessage:
        return decode(await self._r.hget(self.task_key(task_id), "msg"))

    async def result(self, task_id: str) -> bytes | None:
        return await self._r.hget(self.task_key(task_id), "result")

    async def crashes(self, task_id: str) -> int:
        return int((await self.fields(task_id)).get("crashes", 0))

    async def due_at(self, task_id: str) -> float | None:
        state = await self.state_of(task_id)
        return await self._r.zscore(self.key(state), task_id) if state in DELAYED else None

    async def lease_end(self, task_id: str) -> float | None:
        return await self._r.zscore(self.key("lease"), task_id)

    async def count(self, what: str) -> int:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        total, today = await self._r.mget(self.key(what), self.key(f"{what}:{day}"))
        assert total == today
        return int(total or 0)

    # -- change

    async def make_due(self, *ids: str) -> None:
        for number, task_id in enumerate(ids, 1):
            state = await self.state_of(task_id)
            assert state in DELAYED, (task_id, state)
            await self._r.zadd(self.key(state), {task_id: number}, xx=True)

    async def end_leases(self, *, ago_s: float = 31) -> None:
        ends_s = int(time.time() - ago_s)
        if ids := await self._r.zrange(self.key("lease"), 0, -1):
            await self._r.zadd(self.key("lease"), dict.fromkeys(ids, ends_s))

    async def end_upkeep(self) -> None:
        """Let any server do the upkeep and combine groups, as 5 s after the death of the last."""
        await self._r.delete(self.key("maintainer"), self.key("combiner"))

    async def end_lease(self, task_id: str) -> None:
        await self._r.zadd(self.key("lease"), {task_id: 1}, xx=True)

    async def lose_lease(self, task_id: str) -> None:
        await self._r.zrem(self.key("lease"), task_id)

    async def take_over(self, task_id: str) -> None:
        await self._r.hset(self.task_key(task_id), "owner", "somebody else")

    async def put_poison(self, task_id: bytes, message: bytes | None) -> None:
        if message is not None:
            mapping = {"msg": message, "state": "pending"}
            await self._r.hset(self.key("t:").encode() + task_id, mapping=mapping)
        await self._r.rpush(self.key("pending"), task_id)

    async def corrupt(self, task_id: str) -> None:
        await self._r.hset(self.task_key(task_id), "msg", b"\xff")

    async def pause(self) -> None:
        await self._r.set(self.key("paused"), 1)

    async def resume(self) -> None:
        await self._r.delete(self.key("paused"))

    async def _sorted(self, end: str) -> list[str]:
        return _texts(await self._r.zrange(self.key(end), 0, -1))


def _texts(found: list[bytes]) -> list[str]:
    return [each.decode(errors="backslashreplace") for each in found]
