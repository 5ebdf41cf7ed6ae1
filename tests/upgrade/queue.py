"""Read and change the queue ``default`` in Redis without the library."""

import time
from typing import Any

from tests.support.servers import RedisServer

QUEUE = "asynq:{default}:"


class Queue:
    """The queue, as Redis stores it."""

    def __init__(self, server: RedisServer) -> None:
        """Use the queue in *server*."""
        self._r: Any = server.client()  # the driver is typed for text and bytes at once

    def close(self) -> None:
        """Close the connection."""
        self._r.close()

    def count(self, state: str) -> int:
        """Return the number of tasks in *state*."""
        is_list = state in {"pending", "active"}
        return (self._r.llen if is_list else self._r.zcard)(QUEUE + state)

    def counted(self, what: str) -> int:
        """Return a counter, ``processed`` or ``failed``."""
        return int(self._r.get(QUEUE + what) or 0)

    def last_tick_s(self, entry_id: str) -> int:
        """Return the last tick of an entry, Unix seconds; 0 if it never ticked."""
        return int(self._r.get(f"{QUEUE}scheduler_last:{entry_id}") or 0)

    def locks(self) -> int:
        """Return the number of unique locks."""
        return len(list(self._r.scan_iter(f"{QUEUE}unique:*")))

    def end_leases(self) -> None:
        """Set the end of all leases to the past, also in the stamps of the tasks' owners."""
        ended_s = int(time.time()) - 2
        for task_id in self._r.zrange(f"{QUEUE}lease", 0, -1):
            key = f"{QUEUE}t:{task_id.decode()}"
            owner = self._r.hget(key, "owner").decode().rpartition("@")[0]
            self._r.hset(key, "owner", f"{owner}@{ended_s}")
            self._r.zadd(f"{QUEUE}lease", {task_id: ended_s})

    def expire_sets(self) -> None:
        """Set the end of all aggregation sets to the past, as if their aggregators were dead."""
        key = f"{QUEUE}aggregation_sets"
        for name in self._r.zrange(key, 0, -1):
            self._r.zadd(key, {name: int(time.time()) - 60})
