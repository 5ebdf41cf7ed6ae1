"""What the state machine sees of a queue: the same of every broker, without the library's code."""

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from pyasynq.broker import AggregationSet
from pyasynq.core.message import TaskMessage
from pyasynq.core.states import TaskState
from tests.support.queue_view import LISTS, QueueView, RedisQueue
from tests.support.sqlite_queue import NAMES, STAGED, SqliteQueue

Q = "asynq:{q}:"
SCORED = ("scheduled", "retry", "archived", "completed", "g:g", "lease")
PLACES = {TaskState.AGGREGATING: "g:g"}
"""Names of the keys that are not named as the state."""

LOCK = "0cc1"
LOCK_NAME = f"{Q}unique:t:{LOCK}"
RUN_HISTORY = "crashes, unknown_since_s, retried, unstarted"


@dataclass(frozen=True, kw_only=True)
class TaskModel:
    """What the broker must hold of a task."""

    state: str
    group: str = ""
    locked: bool = False
    retried: int = 0


class MachineView(ABC):
    """The queue ``q`` and its group ``g``."""

    queue: QueueView

    @abstractmethod
    async def places(self) -> dict[TaskState, list[str]]:
        """Return the ids of the tasks in each state, in order; without those in sets."""

    @abstractmethod
    async def tasks(self) -> dict[str, TaskModel]:
        """Return all stored tasks, by id."""

    @abstractmethod
    async def sets(self) -> dict[str, list[str]]:
        """Return the ids of the tasks in each aggregation set, by the set's id."""

    @abstractmethod
    async def lock_holder(self) -> str | None:
        """Return the id of the task that holds the lock `LOCK`."""

    @abstractmethod
    async def check(self) -> None:
        """Fail if something is stored in a form that no move leaves behind."""

    @abstractmethod
    async def expire_set(self, group_set: AggregationSet) -> None:
        """Let nobody hold *group_set* any more."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection."""


class RedisView(MachineView):
    """The queue in an empty Redis."""

    def __init__(self, url: str) -> None:
        """Look at the Redis at *url*."""
        self._r: Any = Redis.from_url(url)  # the driver is typed for text and bytes at once
        self.queue = self._queue = RedisQueue(self._r, "q")

    async def places(self) -> dict[TaskState, list[str]]:
        async with self._r.pipeline() as pipeline:
            for state in TaskState:
                if state in LISTS:
                    pipeline.lrange(f"{Q}{state}", 0, -1)
                else:
                    pipeline.zrange(f"{Q}{PLACES.get(state, state)}", 0, -1)
            found = await pipeline.execute()
        stored = [[task_id.decode() for task_id in ids] for ids in found]
        return {
            state: ids[::-1] if state in LISTS else ids
            for state, ids in zip(TaskState, stored, strict=True)
        }

    async def tasks(self) -> dict[str, TaskModel]:
        prefix = f"{Q}t:"
        keys = await self._r.keys(f"{prefix}*")
        async with self._r.pipeline() as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            stored = await pipeline.execute()
        return {
            key.decode().removeprefix(prefix): self._task(fields)
            for key, fields in zip(keys, stored, strict=True)
        }

    def _task(self, fields: dict[bytes, bytes]) -> TaskModel:
        message = TaskMessage.FromString(fields[b"msg"])
        state = fields[b"state"].decode()
        assert (b"owner" in fields) == (state == "active")
        assert (b"pending_since" in fields) == (state == "pending")
        assert bool(message.unique_key) == (b"unique_key" in fields)
        return TaskModel(
            state=state,
            group=fields.get(b"group", b"").decode(),
            locked=bool(message.unique_key),
            retried=message.retried,
        )

    async def sets(self) -> dict[str, list[str]]:
        keys = [key.decode() for key in await self._r.keys(f"{Q}g:g:*")]
        assert sorted(await self._queue.set_keys()) == sorted(keys)
        prefix = f"{Q}g:g:"
        return {
            key.removeprefix(prefix): [
                task_id.decode() for task_id in await self._r.zrange(key, 0, -1)
            ]
            for key in keys
        }

    async def lock_holder(self) -> str | None:
        holder = await self._r.get(LOCK_NAME)
        return None if holder is None else holder.decode()

    async def check(self) -> None:
        """Every score is a whole second, and a group with tasks is registered."""
        async with self._r.pipeline() as pipeline:
            for name in SCORED:
                pipeline.zrange(f"{Q}{name}", 0, -1, withscores=True)
            found = await pipeline.execute()
        for pairs in found:
            assert [score for _, score in pairs] == [int(score) for _, score in pairs]
        if await self.queue.members("g"):
            assert await self._r.smembers(f"{Q}groups") == {b"g"}

    async def expire_set(self, group_set: AggregationSet) -> None:
        await self._r.zadd(f"{Q}aggregation_sets", {f"{Q}g:g:{group_set.id}": 1})

    async def flush(self) -> None:
        """Delete all keys."""
        await self._r.flushall()

    async def forget_scripts(self) -> None:
        """Forget the scripts, as Redis does when it restarts."""
        await self._r.script_flush()

    async def forget_groups(self) -> None:
        """Let nobody know that there are groups, as Go's client may."""
        await self._r.delete(f"{Q}groups", f"{Q}group_search")

    async def aclose(self) -> None:
        await self._r.aclose()


class SqliteView(MachineView):
    """The queue in a file, in which a broker has made the tables."""

    def __init__(self, path: Path) -> None:
        """Look at the file *path*."""
        self.queue = self._queue = SqliteQueue(path, "q")
        self._rows = self._queue.rows

    async def places(self) -> dict[TaskState, list[str]]:
        return {
            state: await self.queue.members("g")
            if state is TaskState.AGGREGATING
            else await self.queue.ids(state)
            for state in TaskState
        }

    async def tasks(self) -> dict[str, TaskModel]:
        found = self._rows("SELECT id, state, group_name, message FROM pyasynq_task")
        return {
            task_id: _task_model(NAMES[state], group, message)
            for task_id, state, group, message in found
        }

    async def sets(self) -> dict[str, list[str]]:
        known = [set_id for (set_id,) in self._rows("SELECT id FROM pyasynq_set")]
        sql = f"""SELECT set_id, id FROM pyasynq_task WHERE state = {STAGED} AND queue = :q
            ORDER BY at, seq"""
        sets: dict[str, list[str]] = defaultdict(list)
        for set_id, task_id in self._rows(sql):
            sets[set_id].append(task_id)
        assert sorted(known) == sorted(sets)
        return dict(sets)

    async def lock_holder(self) -> str | None:
        found = self._rows(
            "SELECT task_id FROM pyasynq_lock WHERE queue = :q AND name = ?", LOCK_NAME
        )
        return found[0][0] if found else None

    async def check(self) -> None:
        """No column has a value that belongs to another state, and no row belongs to nothing."""
        assert self._rows("SELECT * FROM pyasynq_task WHERE queue != :q") == []
        sql = """SELECT l.* FROM pyasynq_lease l LEFT JOIN pyasynq_task t USING (seq)
            WHERE t.state IS NULL OR t.state != 3 OR l.queue != t.queue"""
        assert self._rows(sql) == []
        sql = f"SELECT id FROM pyasynq_task WHERE (set_id IS NOT NULL) != (state = {STAGED})"
        assert self._rows(sql) == []
        sql = """SELECT id, state FROM pyasynq_task WHERE group_name IS NOT NULL
            AND state NOT IN (4, 8, 9) OR group_name IS NULL AND state IN (8, 9)"""
        assert self._rows(sql) == []
        sql = "SELECT count(*) - count(DISTINCT at) FROM pyasynq_task WHERE state = 2"
        assert self._rows(sql) == [(0,)]
        sql = f"SELECT {RUN_HISTORY}, failures FROM pyasynq_task WHERE state NOT IN (3, 5)"
        assert {value for row in self._rows(sql) for value in row} <= {None}
        assert self._rows("PRAGMA integrity_check") == [("ok",)]

    async def expire_set(self, group_set: AggregationSet) -> None:
        self._rows("UPDATE pyasynq_set SET ends = 1 WHERE id = ?", group_set.id)

    async def aclose(self) -> None:
        self._queue.close()


def _task_model(state: str, group: str | None, data: bytes) -> TaskModel:
    message = TaskMessage.FromString(data)
    return TaskModel(
        state=state,
        group=group or "",
        locked=bool(message.unique_key),
        retried=message.retried,
    )
