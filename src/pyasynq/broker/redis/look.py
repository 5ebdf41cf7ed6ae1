"""Look at queues, tasks and servers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, cast

from redis.asyncio import RedisCluster
from redis.crc import key_slot

from pyasynq.broker.ports.inspection import Found, Place, Spot
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, execute, execute_all
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.broker.redis.lua import registry
from pyasynq.broker.redis.pipeline import MAX_BYTES, MAX_SHARES
from pyasynq.broker.redis.reading import (
    Fields,
    number,
    read_spot,
    server_info,
    sound,
    task_info,
    worker_info,
)
from pyasynq.broker.redis.records import read_id, read_message, read_records, sent_id, written
from pyasynq.core import message as wire
from pyasynq.core.info import (
    ClusterNode,
    DailyStats,
    GroupInfo,
    QueueInfo,
    ServerInfo,
    TaskInfo,
    WorkerInfo,
)
from pyasynq.core.states import TaskState

Number: TypeAlias = bytes | None

STEP: Final = 250
"""Tasks, groups or sets looked at in one call."""

SAMPLES: Final = 20
SAMPLED_GROUPS: Final = 5
"""How many tasks of a container, and how many groups, stand for all when memory is estimated."""

_SAMPLED: Final = tuple(state for state in TaskState if state is not TaskState.AGGREGATING)
_SIZES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed")
_DAY: Final = timedelta(days=1)


class RedisLook:
    """The part of the inspection port that changes nothing."""

    def __init__(self, driver: Driver) -> None:
        """Send to *driver*."""
        self._driver = driver

    async def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        names = cast("set[bytes]", await execute(self._driver, "SMEMBERS", keys.QUEUES))
        return sorted(map(read_id, names))

    async def is_known(self, queue: str) -> bool:
        """Return whether *queue* was ever published, and not removed since."""
        return bool(await execute(self._driver, "SISMEMBER", keys.QUEUES, queue))

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; its memory is 0 unless *memory* is to be estimated.

        Source:
            Protocol section 8.2 (asynq v0.26.0 ``RDB.CurrentStats``).

        Differs:
            Staged tasks count as aggregating (D17); groups are visited in steps (D44); the latency
            is by the clock of Redis.
        """
        now = datetime.now(UTC)
        groups = await self.groups(queue)
        waiting = sum(group.size for group in groups)
        staged = sum([size async for _, size in self._staged(queue)])
        memory_usage = await self._memory_usage(queue, groups, waiting) if memory else 0
        sizes, named, _, paused, counters, since, now_ns = await self._counts(queue, now)
        counts = dict(zip(_SIZES, sizes, strict=True)) | {"aggregating": waiting + staged}
        processed, failed, processed_total, failed_total = map(number, counters)
        waited_ns = int(now_ns) - number(since) if number(since) else 0
        return QueueInfo(
            queue=queue,
            timestamp=now,
            size=sum(counts.values()),
            **counts,
            groups=named,
            processed=processed,
            failed=failed,
            processed_total=processed_total,
            failed_total=failed_total,
            paused=bool(paused),
            latency=timedelta(microseconds=max(0, waited_ns) // 1000),
            memory_usage=memory_usage,
        )

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the counters of the last *days* days, today first."""
        today = datetime.now(UTC).date()
        dates = [today - n * _DAY for n in range(days)]
        names = [key(queue, f"{day}") for day in dates for key in (keys.processed, keys.failed)]
        reply = cast("list[Number]", await execute(self._driver, "MGET", *names))
        return [
            DailyStats(queue=queue, date=day, processed=number(done), failed=number(failed))
            for day, done, failed in zip(dates, reply[::2], reply[1::2], strict=True)
        ]

    async def groups(self, queue: str) -> list[GroupInfo]:
        """Return the groups with waiting tasks, by name."""
        sizes: dict[str, int] = {}
        cursor = b"0"
        while True:
            call = scripts.groups(
                groups=keys.groups(queue),
                group_prefix=keys.group(queue),
                cursor=cursor,
                limit=STEP,
            )
            cursor, *found = cast("list[bytes]", await pipeline.run(self._driver, call))
            names = map(read_id, found[::2])
            sizes.update(zip(names, cast("list[int]", found[1::2]), strict=True))
            if cursor == b"0":
                return [GroupInfo(group=name, size=sizes[name]) for name in sorted(sizes)]

    async def spot(self, queue: str, task_id: str) -> Spot | None:
        """Return where one task is, whether or not its message can be read.

        Raises:
            PoisonError: If it is in no state that there is.
        """
        fields = await self._task(queue, task_id)
        return None if fields is None else read_spot(queue, fields)

    async def task(self, queue: str, task_id: str) -> Found | None:
        """Return one task.

        Raises:
            PoisonError: If what stands under this id is no task.

        Source:
            Protocol section 8.3 (asynq v0.26.0 ``RDB.GetTaskInfo``).

        Differs:
            Says of an active task whether its worker's lease is over.
        """
        fields = await self._task(queue, task_id)
        if fields is None:
            return None
        data, word, result, _, score, over = fields
        message, state = sound(queue, task_id, data, word)
        spot = read_spot(queue, fields)
        return Found(
            place=spot.place,
            staged=spot.staged,
            info=task_info(message, state, (score, result), orphaned=bool(over)),
            message=message,
            data=data or b"",
        )

    async def tasks(self, place: Place, start: int, count: int) -> list[TaskInfo]:
        """Return up to *count* tasks in order, leaving out the first *start*.

        Source:
            Protocol section 8.3 (asynq v0.26.0 ``RDB.ListPending`` and its siblings).

        Differs:
            Reads long pages in steps; ids without a task are left out; staged tasks follow the
            waiting ones of their group (D17).
        """
        tasks: list[TaskInfo] = []
        async for key, size in self._containers(place):
            if count <= 0:
                break
            here = max(0, min(count, size - start))
            tasks += await self._slice(place, key, start, start + here)
            start, count = max(0, start - size), count - here
        return tasks

    async def servers(self) -> list[ServerInfo]:
        """Return the servers that have shown themselves in the last seconds, by start.

        Source:
            Protocol sections 3.18 and 8.7 (asynq v0.26.0 ``RDB.ListServers``, ``ListWorkers``).
        """
        workers: dict[str, list[WorkerInfo]] = {}
        for key in await self._living(keys.WORKERS):
            for worker in await self._workers(key):
                workers.setdefault(worker.server_id, []).append(worker_info(worker))
        records = await self._each("GET", await self._living(keys.SERVERS))
        servers = [
            server_info(server, workers.get(server.server_id, []))
            for server in read_records(wire.ServerInfo, cast("list[bytes | None]", records))
        ]
        return sorted(servers, key=lambda server: (server.started or datetime.now(UTC), server.id))

    async def slot(self, queue: str) -> int:
        """Return the cluster slot of *queue*."""
        return key_slot(written(keys.container(queue, TaskState.PENDING)))

    async def nodes(self, queue: str) -> list[ClusterNode]:
        """Return the cluster nodes that serve *queue*, its primary first; none without cluster."""
        if not isinstance(self._driver, RedisCluster):
            return []
        slot = await self.slot(queue)
        reply = await execute(self._driver, "CLUSTER NODES")
        nodes = cast("dict[str, dict[str, Any]]", reply)
        primary = next(n["node_id"] for n in nodes.values() if _serves(n["slots"], slot))
        served = sorted(nodes.items(), key=lambda node: node[1]["node_id"] != primary)
        return [
            ClusterNode(id=node["node_id"], address=address)
            for address, node in served
            if primary in {node["node_id"], node["master_id"]}
        ]

    async def redis_info(self) -> dict[str, str]:
        """Return what Redis says of itself, or of the cluster."""
        if isinstance(self._driver, RedisCluster):
            return cast("dict[str, str]", await execute(self._driver, "CLUSTER INFO"))
        # The driver parses the answer to "INFO" alone; the texts are wanted as they are.
        reply = cast("bytes", await execute(self._driver, "INFO default"))
        lines = reply.decode(errors="replace").splitlines()
        return {name: value for name, colon, value in (x.partition(":") for x in lines) if colon}

    async def size(self, place: Place) -> int:
        """Return how many tasks are in *place*, without staged ones."""
        count = "LLEN" if place.state in keys.LISTS else "ZCARD"
        return cast("int", await execute(self._driver, count, keys.place(place)))

    async def length(self, place: Place) -> int:
        """Return how many tasks `tasks` goes through, staged ones as well."""
        return sum([size async for _, size in self._containers(place)])

    async def ids(self, place: Place, limit: int) -> list[str]:
        """Return up to *limit* ids, the next to run first."""
        words = ("LRANGE", -limit, -1) if place.state in keys.LISTS else ("ZRANGE", 0, limit - 1)
        name, start, stop = words
        reply = await execute(self._driver, name, keys.place(place), start, stop)
        found = [read_id(task_id) for task_id in cast("list[bytes]", reply)]
        return found[::-1] if place.state in keys.LISTS else found

    async def _task(self, queue: str, task_id: str) -> Fields | None:
        call = scripts.task(
            task=keys.task(queue, task_id),
            lease=keys.lease(queue),
            id=task_id,
            prefix=keys.prefix(queue),
        )
        return cast("Fields | None", await pipeline.run(self._driver, call))

    async def _counts(
        self, queue: str, now: datetime
    ) -> tuple[list[int], int, int, int, list[Number], Number, bytes]:
        day = f"{now:%Y-%m-%d}"
        named = {word: keys.container(queue, TaskState(word)) for word in _SIZES}
        call = scripts.look(
            **named,
            groups=keys.groups(queue),
            aggregation_sets=keys.aggregation_sets(queue),
            paused=keys.paused(queue),
            processed=keys.processed(queue),
            failed=keys.failed(queue),
            processed_day=keys.processed(queue, day),
            failed_day=keys.failed(queue, day),
            task_prefix=keys.task(queue),
        )
        reply = await pipeline.run(self._driver, call)
        return cast("tuple[list[int], int, int, int, list[Number], Number, bytes]", reply)

    async def _staged(self, queue: str) -> AsyncIterator[tuple[str, int]]:
        """Yield the keys of staged sets with their sizes."""
        start = 0
        while True:
            call = scripts.staged(
                aggregation_sets=keys.aggregation_sets(queue), start=start, limit=STEP
            )
            found = cast("list[bytes]", await pipeline.run(self._driver, call))
            sizes = cast("list[int]", found[1::2])
            for key, size in zip(found[::2], sizes, strict=True):
                yield read_id(key), size
            if len(sizes) < STEP:
                return
            start += STEP

    async def _containers(self, place: Place) -> AsyncIterator[tuple[str, int]]:
        """Yield the keys that hold the tasks of *place*, with their sizes."""
        yield keys.place(place), await self.size(place)
        if place.state is TaskState.AGGREGATING:
            async for key, size in self._staged(place.queue):
                if keys.staged_group(place.queue, key) == place.group:
                    yield key, size

    async def _slice(self, place: Place, key: str, at: int, end: int) -> list[TaskInfo]:
        """Return the tasks from rank *at* up to *end*, read in steps; poison is left out."""
        tasks: list[TaskInfo] = []
        while at < end and (rows := await self._rows(place, key, at, min(STEP, end - at))):
            for task_id, data, result, score, over in rows:
                message, sound = read_message(place.queue, task_id or b"", data or b"")
                if sound:
                    info = task_info(message, place.state, (score, result), orphaned=bool(over))
                    tasks.append(info)
            at += len(rows)
        return tasks

    async def _rows(self, place: Place, key: str, start: int, limit: int) -> list[Fields]:
        call = scripts.page(
            container=key,
            lease=keys.lease(place.queue),
            task_prefix=keys.task(place.queue),
            listed=int(place.state in keys.LISTS),
            start=start,
            limit=limit,
            most_bytes=MAX_BYTES,
        )
        return cast("list[Fields]", await pipeline.run(self._driver, call))

    async def _memory_usage(self, queue: str, groups: Sequence[GroupInfo], grouped: int) -> int:
        containers = {keys.container(queue, state): state in keys.LISTS for state in _SAMPLED}
        names = [keys.group(queue, group.group) for group in groups[:SAMPLED_GROUPS]]
        samples = await self._samples(queue, containers | dict.fromkeys(names, False))
        total = 0.0
        for count, looked_at, size, own in samples[: len(containers)]:
            total += own + (size / looked_at * count if looked_at else 0)
        looked_at = sum(sample[1] for sample in samples[len(containers) :])
        size = sum(sample[2] for sample in samples[len(containers) :])
        return int(total + (size / looked_at * grouped if looked_at else 0))

    async def _samples(self, queue: str, containers: Mapping[str, bool]) -> list[list[int]]:
        """Return of each container: tasks, tasks looked at, their bytes, its own bytes."""
        calls = [
            scripts.memory(
                container=key, task_prefix=keys.task(queue), listed=int(listed), samples=SAMPLES
            )
            for key, listed in containers.items()
        ]
        replies = await pipeline.run_all(self._driver, calls)
        pipeline.raise_first(replies)
        return cast("list[list[int]]", replies)

    async def _each(self, command: str, names: Sequence[str]) -> list[object]:
        """Return what *command* says of each of the keys *names*."""
        answers: list[object] = []
        for at in range(0, len(names), MAX_SHARES):
            commands = [(command, name) for name in names[at : at + MAX_SHARES]]
            answers += await execute_all(self._driver, commands)
        return answers

    async def _workers(self, key: str) -> list[wire.WorkerInfo]:
        """Return what runs on one server, read in steps; what ends meanwhile is left out."""
        ids = cast("list[bytes]", await execute(self._driver, "HKEYS", key))
        found: list[wire.WorkerInfo] = []
        while ids:
            each = [sent_id(read_id(task_id)) for task_id in ids[:STEP]]
            call = scripts.workers(each, workers=key, budget=MAX_BYTES)
            records = cast("list[bytes | None]", await pipeline.run(self._driver, call))
            found += read_records(wire.WorkerInfo, records)
            ids = ids[len(records) :]
        return found

    async def _living(self, index: str) -> list[str]:
        names = await pipeline.run(self._driver, registry.living(index=index))
        return [read_id(name) for name in cast("list[bytes]", names)]


def _serves(ranges: Sequence[Sequence[str]], slot: int) -> bool:
    return any(int(low) <= slot <= int(high[0] if high else low) for low, *high in ranges)
