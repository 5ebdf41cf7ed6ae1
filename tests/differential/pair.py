"""Apply each operation to two equal Redis, compare them, and make them equal again."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import redis

from tests.differential import operations as ops
from tests.differential.accepted import explanation
from tests.differential.answers import comparable
from tests.differential.comparison import Case, Difference, differences
from tests.differential.coverage import labels
from tests.differential.facts import split_key
from tests.differential.operations import Operation, to_json
from tests.differential.sides import Answer, Side
from tests.differential.snapshot import SERVER_KEYS, Key, Snapshot, server_record, take
from tests.support.waiting import wait_until

PATIENCE_S: Final = 60.0
MILLISECONDS: Final = 0.002
"""Expiries of keys that differ by less are equal for Redis."""

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
SET_ID: Final = "7bc6a2ac-8d5c-4a8a-9a05-6e0b7e8f6b0f"
"""Id of the set that a dead aggregator left."""

LONG_AGO_S: Final[dict[str, int]] = {
    "scheduled": 10 * DAY_S,
    "retry": 10 * DAY_S,
    "completed": 10 * DAY_S,
    "lease": 3600,
    "archived": 100 * DAY_S,
}
"""Seconds by which a member's score is moved into the past, so that it is due."""

DUE: Final[dict[str, Sequence[str]]] = {
    "forward": ("scheduled", "retry"),
    "expire": ("completed",),
    "recover": ("lease",),
}


class UnlikeError(AssertionError):
    """The sides differ, and no entry explains the difference."""

    def __init__(
        self, trail: Iterable[Operation], case: Case, unlike: Sequence[Difference]
    ) -> None:
        """Show the operations so far, the last of which made the differences, and these."""
        self.differences = unlike
        answers = [f"Go answered: {case.go_answer}", f"Python answered: {case.python_answer}"]
        lines = [*map(to_json, trail), "", *answers, "", *map(str, unlike)]
        super().__init__("Go and Python differ after the last of these:\n" + "\n".join(lines))


@dataclass(kw_only=True)
class Pair:
    """Go and Python, each with a Redis of its own.

    Attributes:
        state: The content of both.
        held: The server that runs on both sides, or None.
        reached: Number of operations of each kind.
        accepted: Number of differences that each entry explained.
    """

    go: Side
    python: Side
    go_redis: redis.Redis
    python_redis: redis.Redis
    state: Snapshot = field(default_factory=lambda: Snapshot({}))
    held: ops.Begin | None = None
    reached: Counter[str] = field(default_factory=Counter[str])
    accepted: Counter[str] = field(default_factory=Counter[str])
    _running: set[str] = field(default_factory=set[str])
    _trail: list[Operation] = field(default_factory=list[Operation])

    async def open(self) -> None:
        """Start again with empty servers on both sides."""
        await self.close()
        for client in self._both():
            client.flushall()
        self.state, self._trail = Snapshot({}), []
        await self._apply(ops.Open())

    async def step(self, operation: Operation) -> None:
        """Apply *operation* to both sides, compare them, and make them equal again.

        Raises:
            UnlikeError: If no entry explains a difference.
        """
        self._trail.append(operation)
        case = await self._apply_and_read(operation)
        unlike = differences(case)
        entries = [(difference, explanation(case, difference)) for difference in unlike]
        if unexplained := [difference for difference, entry in entries if entry is None]:
            raise UnlikeError(self._trail, case, unexplained)
        self.reached.update(labels(case))
        self.accepted.update({entry.number for _, entry in entries if entry is not None})
        self._bring_together(
            case, {d.key for d, entry in entries if entry is not None and entry.keeps == "go"}
        )

    async def close(self) -> None:
        """End the running server, if there is one."""
        if self.held is not None:
            queue, self.held = self.held.queue, None
            await self._apply(ops.End(queue=queue, outcomes={}, abort=True))

    async def _apply_and_read(self, operation: Operation) -> Case:
        for client in self._both():
            _arrange(client, operation)
        await self._wait(lambda client: self.held or not _listeners(client))
        before = take(self.python_redis)
        started_s = time.time()
        go_answer, python_answer = await self._apply(operation)
        await self._wait_for_effects(operation, python_answer)
        window_s = time.time() - started_s
        return Case(
            operation=operation,
            before=before,
            go=_comparable(take(self.go_redis)),
            python=_comparable(take(self.python_redis)),
            go_answer=comparable(operation, go_answer),
            python_answer=comparable(operation, python_answer),
            started_s=started_s,
            window_s=window_s,
        )

    async def _apply(self, operation: Operation) -> tuple[Answer, Answer]:
        match operation:
            case ops.Age() | ops.Lapse():
                return Answer(), Answer()
            case ops.Beat(queue=queue):
                return await self._beat(queue)
            case _:
                pass
        going = asyncio.create_task(self.go.apply(operation))
        try:
            python = await self.python.apply(operation)
        finally:
            go = await going
        return go, python

    async def _beat(self, queue: str) -> tuple[Answer, Answer]:
        """Wait for a heartbeat; answer with the records of the servers."""
        old = self.state.keys[f"asynq:{{{queue}}}:lease"].value
        await self._wait(lambda client: _has_beaten(client, queue, old))
        go, python = (Answer(value=server_record(take(client))) for client in self._both())
        return go, python

    async def _wait_for_effects(self, operation: Operation, answer: Answer) -> None:
        """Wait for the effects of the operation that come after its answer."""
        match operation:
            case ops.Begin():
                self.held, self._running = operation, {seen.id for seen in answer.value.seen}
                await self._wait(_is_shown)
            case ops.End():
                self.held, self._running = None, set()
            case ops.Cancel(queue=queue, id=task_id) if task_id in self._running:
                active = f"asynq:{{{queue}}}:active"
                await self._wait(lambda c: task_id.encode() not in _list(c, active))
            case _:
                pass

    async def _wait(self, holds: Callable[[redis.Redis], object]) -> None:
        for client in self._both():
            await wait_until(lambda client=client: holds(client), timeout=PATIENCE_S)

    def _bring_together(self, case: Case, of_go: set[str]) -> None:
        """Make Go's Redis a copy of Python's; the keys in *of_go* are copied the other way."""
        keys = dict(case.python.keys)
        for name in case.go.keys.keys() | case.python.keys.keys():
            left, right = case.go.keys.get(name), case.python.keys.get(name)
            if name in of_go:
                _copy(self.go_redis, self.python_redis, name, left)
                keys[name] = cast("Key", left)
            elif not _same(left, right):
                _copy(self.python_redis, self.go_redis, name, right)
        self.state = Snapshot(keys)

    def _both(self) -> tuple[redis.Redis, redis.Redis]:
        return self.go_redis, self.python_redis


def _arrange(client: redis.Redis, operation: Operation) -> None:
    """Move times into the past, as the operation needs."""
    match operation:
        case ops.Maintain(queue=queue, what=what, ids=ids):
            for container in DUE.get(what, ()):
                _move_back(client, queue, container, ids)
            if operation.group:
                _set_aside(client, queue, operation.group)
        case ops.Aggregate(queue=queue, group=group):
            _move_back(client, queue, f"g:{group}", _scored(client, f"asynq:{{{queue}}}:g:{group}"))
        case ops.Age(queue=queue, ids=ids):
            _move_back(client, queue, "archived", ids)
        case ops.Lapse(locks=locks):
            client.delete(*locks)
        case _:
            pass


def _move_back(client: redis.Redis, queue: str, container: str, ids: Iterable[str]) -> None:
    key = f"asynq:{{{queue}}}:{container}"
    for task_id in ids:
        score = client.zscore(key, task_id)
        if score is not None:
            client.zadd(key, {task_id: score - LONG_AGO_S.get(container, HOUR_S)})


def _comparable(snapshot: Snapshot) -> Snapshot:
    """Leave out the records of servers, which name the process; `Beat` compares them.

    Also leave out which server does the upkeep, which asynq has no key for.
    """
    holders = [key for key in snapshot.keys if split_key(key)[1] in {"maintainer", "combiner"}]
    return snapshot.without(*SERVER_KEYS, "asynq:server_details:", *holders)


def _set_aside(client: redis.Redis, queue: str, group: str) -> None:
    """Leave a group as an aggregator that died two minutes ago."""
    prefix = f"asynq:{{{queue}}}:"
    client.rename(f"{prefix}g:{group}", f"{prefix}g:{group}:{SET_ID}")
    client.zadd(f"{prefix}aggregation_sets", {f"{prefix}g:{group}:{SET_ID}": 1})
    client.srem(f"{prefix}groups", group)


def _scored(client: redis.Redis, key: str) -> list[str]:
    return [member.decode() for member in cast("list[bytes]", client.zrange(key, 0, -1))]


def _copy(source: redis.Redis, target: redis.Redis, name: str, key: Key | None) -> None:
    dumped = source.dump(name) if key else None
    if dumped is None or key is None:
        target.delete(name)
        return
    expires_ms = round(key.expires_at * 1000) if key.expires_at else 0
    target.restore(name, expires_ms, dumped, replace=True, absttl=True)


def _same(left: Key | None, right: Key | None) -> bool:
    if left is None or right is None:
        return left is right
    if (left.kind, left.value) != (right.kind, right.value):
        return False
    return abs((left.expires_at or 0) - (right.expires_at or 0)) <= MILLISECONDS


def _list(client: redis.Redis, key: str) -> list[bytes]:
    return cast("list[bytes]", client.lrange(key, 0, -1))


def _listeners(client: redis.Redis) -> int:
    return cast("list[tuple[bytes, int]]", client.pubsub_numsub("asynq:cancel"))[0][1]


def _is_shown(client: redis.Redis) -> bool:
    """Tell whether a server has written its record and subscribed to cancelations."""
    shown = client.exists(*SERVER_KEYS) == len(SERVER_KEYS)
    return bool(shown and client.keys("asynq:servers:*") and _listeners(client))


def _has_beaten(client: redis.Redis, queue: str, old: dict[str, float]) -> bool:
    leases = cast(
        "list[tuple[bytes, float]]",
        client.zrange(f"asynq:{{{queue}}}:lease", 0, -1, withscores=True),
    )
    extended = all(score > old[task_id.decode()] for task_id, score in leases)
    return bool(extended and client.keys("asynq:workers:*"))
