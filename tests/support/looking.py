"""A look into a queue past the library's own readers, and a hand that changes what stands there."""

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from pyasynq.core.message import TaskMessage, decode

DELAYED = ("scheduled", "retry", "completed", "archived")
"""The states in which a task has an instant at which something becomes of it, or became."""

LINES = ("pending", "active")
"""The states in which tasks stand in a line."""


class QueueView(ABC):
    """One queue, of which a test asks what every broker can answer.

    A test that needs more, keys or fields, says so by asking for a `RedisQueue`.
    """

    # -- looking

    @abstractmethod
    async def ids(self, state: str) -> list[str]:
        """Return the ids in *state*, but for tasks of groups, the next to run first."""

    async def line(self) -> list[str]:
        """Return the ids of the tasks that wait to be taken, the next to run first."""
        return await self.ids("pending")

    @abstractmethod
    async def members(self, group: str) -> list[str]:
        """Return the ids of the tasks that wait in *group*, the oldest first."""

    @abstractmethod
    async def leased(self) -> list[str]:
        """Return the ids of the tasks that have a lease, the first to end first."""

    @abstractmethod
    async def where(self, task_id: str) -> str | None:
        """Return the word for the state of a task; None if there is no such task."""

    async def exists(self, task_id: str) -> bool:
        """Tell whether there is such a task."""
        return await self.where(task_id) is not None

    @abstractmethod
    async def message(self, task_id: str) -> TaskMessage:
        """Return the message of a task that is there."""

    @abstractmethod
    async def result(self, task_id: str) -> bytes | None:
        """Return what the handler of a task has written as its result."""

    @abstractmethod
    async def crashes(self, task_id: str) -> int:
        """Return how many workers a task has taken down."""

    @abstractmethod
    async def due(self, task_id: str) -> float | None:
        """Return when a task runs or is deleted, or was archived, in seconds since the epoch.

        None if it is in no state that has such an instant.
        """

    @abstractmethod
    async def lease_end(self, task_id: str) -> float | None:
        """Return when the lease of a task ends, in seconds since the epoch; None without lease."""

    @abstractmethod
    async def count(self, what: str) -> int:
        """Return a counter, ``processed`` or ``failed``; that of today must agree."""

    # -- changing

    @abstractmethod
    async def make_due(self, *ids: str) -> None:
        """Let the time of tasks have come: to run again, or to be deleted."""

    @abstractmethod
    async def end_leases(self, *, ago_s: float = 31) -> None:
        """Let all leases of the queue have ended *ago_s* seconds ago, as if Go had written them.

        Such a lease is not over before the 30 s which the clocks of two machines may differ.
        """

    @abstractmethod
    async def lose_lease(self, task_id: str) -> None:
        """Delete the lease of a task, and leave the task active."""

    @abstractmethod
    async def give_away(self, task_id: str) -> None:
        """Let another worker have taken a task that is active."""

    @abstractmethod
    async def put_poison(self, task_id: bytes, message: bytes | None) -> None:
        """Put a task next in line as a broken peer would; without message, only its id."""

    @abstractmethod
    async def spoil(self, task_id: str) -> None:
        """Let the message of a task be none, as if a broken peer had written it."""

    @abstractmethod
    async def pause(self) -> None:
        """Let nobody take tasks."""

    @abstractmethod
    async def resume(self) -> None:
        """Let tasks be taken again."""


class RedisQueue(QueueView):
    """One queue, as Redis has it."""

    def __init__(self, r: Redis, name: str = "default") -> None:
        """Look at the queue *name* through *r*."""
        self._r: Any = r  # the driver is typed for text and bytes at once
        self._prefix = f"asynq:{{{name}}}:"

    def key(self, end: str) -> str:
        """Return the key of this queue that ends so."""
        return self._prefix + end

    def task_key(self, task_id: str) -> str:
        """Return the key of the hash of a task."""
        return self.key(f"t:{task_id}")

    # -- looking

    async def fields(self, task_id: str) -> dict[str, str]:
        """Return the fields of a task's hash, but for its message."""
        found = await self._r.hgetall(self.task_key(task_id))
        return {name.decode(): value.decode() for name, value in found.items() if name != b"msg"}

    async def ids(self, state: str) -> list[str]:
        if state in LINES:
            return _texts(await self._r.lrange(self.key(state), 0, -1))[::-1]
        return await self._sorted(state)

    async def members(self, group: str) -> list[str]:
        return await self._sorted(f"g:{group}")

    async def leased(self) -> list[str]:
        return await self._sorted("lease")

    async def staged(self) -> list[str]:
        """Return the keys of the sets that are being combined, the first to be given up first."""
        return await self._sorted("aggregation_sets")

    async def given_up_at(self, staged: str) -> float | None:
        """Return when the set at the key *staged* is given up, in seconds since the epoch."""
        return await self._r.zscore(self.key("aggregation_sets"), staged)

    async def where(self, task_id: str) -> str | None:
        return (await self.fields(task_id)).get("state")

    async def message(self, task_id: str) -> TaskMessage:
        return decode(await self._r.hget(self.task_key(task_id), "msg"))

    async def result(self, task_id: str) -> bytes | None:
        return await self._r.hget(self.task_key(task_id), "result")

    async def crashes(self, task_id: str) -> int:
        return int((await self.fields(task_id)).get("crashes", 0))

    async def due(self, task_id: str) -> float | None:
        state = await self.where(task_id)
        return await self._r.zscore(self.key(state), task_id) if state in DELAYED else None

    async def lease_end(self, task_id: str) -> float | None:
        return await self._r.zscore(self.key("lease"), task_id)

    async def count(self, what: str) -> int:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        total, today = await self._r.mget(self.key(what), self.key(f"{what}:{day}"))
        assert total == today
        return int(total or 0)

    # -- changing

    async def make_due(self, *ids: str) -> None:
        for task_id in ids:
            state = await self.where(task_id)
            assert state in DELAYED, (task_id, state)
            await self._r.zadd(self.key(state), {task_id: 1}, xx=True)

    async def end_leases(self, *, ago_s: float = 31) -> None:
        ends_s = int(time.time() - ago_s)
        if ids := await self._r.zrange(self.key("lease"), 0, -1):
            await self._r.zadd(self.key("lease"), dict.fromkeys(ids, ends_s))

    async def lose_lease(self, task_id: str) -> None:
        await self._r.zrem(self.key("lease"), task_id)

    async def give_away(self, task_id: str) -> None:
        await self._r.hset(self.task_key(task_id), "owner", "somebody else")

    async def put_poison(self, task_id: bytes, message: bytes | None) -> None:
        if message is not None:
            mapping = {"msg": message, "state": "pending"}
            await self._r.hset(self.key("t:").encode() + task_id, mapping=mapping)
        await self._r.rpush(self.key("pending"), task_id)

    async def spoil(self, task_id: str) -> None:
        await self._r.hset(self.task_key(task_id), "msg", b"\xff")

    async def pause(self) -> None:
        await self._r.set(self.key("paused"), 1)

    async def resume(self) -> None:
        await self._r.delete(self.key("paused"))

    async def _sorted(self, end: str) -> list[str]:
        return _texts(await self._r.zrange(self.key(end), 0, -1))


def _texts(found: list[bytes]) -> list[str]:
    return [each.decode(errors="backslashreplace") for each in found]
