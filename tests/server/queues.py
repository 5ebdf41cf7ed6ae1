"""What stands in Redis about one queue, read and written without the library's own readers."""

import time
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from pyasynq.core.message import TaskMessage, decode


class QueueView:
    """One queue, as Redis has it."""

    def __init__(self, r: Redis, name: str = "default") -> None:
        """Look at the queue *name* through *r*."""
        self._r: Any = r  # the driver is typed for text and bytes at once
        self._prefix = f"asynq:{{{name}}}:"

    def key(self, end: str) -> str:
        """Return the key of this queue that ends so."""
        return self._prefix + end

    async def ids(self, state: str) -> list[str]:
        """Return the ids in *state*, the next to run last in a list, first in a sorted set."""
        key = self.key(state)
        listed = state in {"pending", "active"}
        ids = await (self._r.lrange(key, 0, -1) if listed else self._r.zrange(key, 0, -1))
        return [found.decode(errors="backslashreplace") for found in ids]

    async def score(self, state: str, task_id: str) -> float | None:
        """Return the score of a task in a sorted set."""
        return await self._r.zscore(self.key(state), task_id)

    async def fields(self, task_id: str) -> dict[str, str]:
        """Return the fields of a task's hash, but for its message."""
        found = await self._r.hgetall(self.key(f"t:{task_id}"))
        return {name.decode(): value.decode() for name, value in found.items() if name != b"msg"}

    async def state(self, task_id: str) -> str | None:
        """Return the word in a task's hash; None if there is none."""
        return (await self.fields(task_id)).get("state")

    async def message(self, task_id: str) -> TaskMessage:
        """Return a task's message."""
        return decode(await self._r.hget(self.key(f"t:{task_id}"), "msg"))

    async def exists(self, task_id: str) -> bool:
        """Tell whether the task has a hash."""
        return await self._r.exists(self.key(f"t:{task_id}")) == 1

    async def count(self, what: str) -> int:
        """Return a counter, ``processed`` or ``failed``; that of today must agree."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        total, today = await self._r.mget(self.key(what), self.key(f"{what}:{day}"))
        assert total == today
        return int(total or 0)

    async def end_leases(self, *, ago_s: float = 31) -> None:
        """Let all leases of the queue have ended *ago_s* seconds ago, as if Go had written them.

        Such a lease is not over before the 30 s which the clocks of two machines may differ.
        """
        ids = await self._r.zrange(self.key("lease"), 0, -1)
        if ids:
            await self._r.zadd(self.key("lease"), dict.fromkeys(ids, int(time.time() - ago_s)))

    async def put_pending(self, task_id: bytes, message: bytes | None) -> None:
        """Put a task next in line as a broken peer would; without message there is no hash."""
        if message is not None:
            mapping = {"msg": message, "state": "pending"}
            await self._r.hset(self.key("t:").encode() + task_id, mapping=mapping)
        await self._r.rpush(self.key("pending"), task_id)
