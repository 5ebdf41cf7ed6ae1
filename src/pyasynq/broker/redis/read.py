"""Read queues and tasks."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import compress
from typing import Final, TypeAlias, cast

from pyasynq.broker.ports.inspection import Container, Page, StoredTask
from pyasynq.broker.records import decode_name, read_message
from pyasynq.broker.redis import keys, pipeline, shared_keys
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.groups import RedisGroups
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.broker.redis.scripts import Call
from pyasynq.broker.redis.task_records import ATTEMPT_FIELDS, Fields, number, stored_task, task_info
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.info import DailyStats, GroupInfo, QueueInfo, TaskInfo
from pyasynq.core.policy import MAX_BYTES
from pyasynq.core.states import TaskState
from pyasynq.runtime.clock import Clock

Number: TypeAlias = bytes | None
Counts: TypeAlias = tuple[list[int], int, int, int, list[Number], Number, bytes]
"""The answer of the script that counts."""

STEP: Final = 250
"""Tasks or sets that one call reads."""

SAMPLES: Final = 20
SAMPLED_GROUPS: Final = 5
"""Sample sizes for the memory estimate: tasks of a container, and groups."""

_SAMPLED: Final = tuple(state for state in TaskState if state is not TaskState.AGGREGATING)
_SIZES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed")
_DAY: Final = timedelta(days=1)


class RedisRead:
    """The part of the inspection port that reads; actions are in `actions`."""

    def __init__(self, driver: Driver, groups: RedisGroups, clock: Clock) -> None:
        """Send calls over *driver*; *groups* counts grouped tasks, *clock* tells today's date."""
        self._driver = driver
        self._groups = groups
        self._clock = clock

    async def queues(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the names of all known queues, or of the known ones in *among*, sorted."""
        if among is not None:
            if not among:
                return []
            known = await execute(self._driver, "SMISMEMBER", shared_keys.QUEUES, *among)
            return sorted(compress(among, cast("list[int]", known)))
        names = cast("set[bytes]", await execute(self._driver, "SMEMBERS", shared_keys.QUEUES))
        return sorted(map(decode_name, names))

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; without *memory* its memory is 0 and not estimated.

        Source:
            Protocol section 8.2 (asynq v0.26.0 ``RDB.CurrentStats``).

        Differs:
            Tasks in aggregation sets count as aggregating (D17); groups are read in steps (D44);
            the latency is by the clock of Redis.
        """
        now = self._clock.now()
        groups = await self._groups.group_sizes(queue)
        waiting = sum(group.size for group in groups)
        staged = await self._staged(queue)
        memory_usage = await self._memory_usage(queue, groups, waiting) if memory else 0
        counts = await self._counts(queue, now)
        aggregating = waiting + staged
        return _info(queue, now, counts, aggregating=aggregating, memory_usage=memory_usage)

    async def queue_infos(self, queues: Sequence[str]) -> Sequence[QueueInfo | BrokerError]:
        """Return the counts of *queues* in one round trip, and a few for each that has groups."""
        if not queues:
            return []
        now = self._clock.now()
        answers = await pipeline.run_all(self._driver, [_count(queue, now) for queue in queues])
        return [
            await self._complete(queue, now, answer)
            for queue, answer in zip(queues, answers, strict=True)
        ]

    async def _complete(self, queue: str, now: datetime, answer: object) -> QueueInfo | BrokerError:
        """Return the info of *queue*, whose counts are *answer*; or the error, if it is one."""
        try:
            pipeline.raise_first([answer])
            counts = cast("Counts", answer)
            _, groups, sets, *_ = counts
            waiting = await self._groups.group_sizes(queue) if groups else ()
            aggregating = sum(group.size for group in waiting)
            aggregating += await self._staged(queue) if sets else 0
        except BrokerUnavailableError:
            raise
        except BrokerError as error:
            return error
        return _info(queue, now, counts, aggregating=aggregating, memory_usage=0)

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the counters of the last *days* days, today first."""
        today = self._clock.now().date()
        dates = [today - n * _DAY for n in range(days)]
        names = [key(queue, f"{day}") for day in dates for key in (keys.processed, keys.failed)]
        reply = cast("list[Number]", await execute(self._driver, "MGET", *names))
        return [
            DailyStats(queue=queue, date=day, processed=number(done), failed=number(failed))
            for day, done, failed in zip(dates, reply[::2], reply[1::2], strict=True)
        ]

    async def task(self, queue: str, task_id: str) -> StoredTask | None:
        """Return one task.

        Raises:
            PoisonError: If its state is unknown.

        Source:
            Protocol section 8.3 (asynq v0.26.0 ``RDB.GetTaskInfo``).

        Differs:
            Tells whether the lease of an active task is over.
        """
        call = scripts.get_task(
            ATTEMPT_FIELDS,
            task=keys.task(queue, task_id),
            lease=keys.lease(queue),
            id=task_id,
            prefix=keys.prefix(queue),
        )
        fields = cast("Fields | None", await pipeline.run(self._driver, call))
        return None if fields is None else stored_task(queue, task_id, fields, self._clock.now())

    async def tasks(self, container: Container, start: int, count: int) -> Page:
        """Return up to *count* tasks in order, after skipping the first *start*.

        Source:
            Protocol section 8.3 (asynq v0.26.0 ``RDB.ListPending`` and its siblings).

        Differs:
            Reads long pages in steps; leaves out ids without a task; lists tasks in aggregation
            sets after the waiting ones of their group (D17).
        """
        tasks: list[TaskInfo] = []
        async for key, size in self._containers(container):
            here = max(0, min(count, size - start))
            tasks += await self._slice(container, key, start, start + here)
            if size > start + count:
                return Page(tasks=tasks, more=True)
            start, count = max(0, start - size), count - here
        return Page(tasks=tasks, more=False)

    async def _counts(self, queue: str, now: datetime) -> Counts:
        return cast("Counts", await pipeline.run(self._driver, _count(queue, now)))

    async def _staged(self, queue: str) -> int:
        """Return the number of tasks in aggregation sets."""
        return sum([size async for _, size in self._aggregation_sets(queue)])

    async def _aggregation_sets(self, queue: str) -> AsyncIterator[tuple[str, int]]:
        """Yield the keys of aggregation sets with their sizes."""
        start = 0
        while True:
            call = scripts.find_staged(
                aggregation_sets=keys.aggregation_sets(queue), start=start, limit=STEP
            )
            found = cast("list[bytes]", await pipeline.run(self._driver, call))
            sizes = cast("list[int]", found[1::2])
            for key, size in zip(found[::2], sizes, strict=True):
                yield decode_name(key), size
            if len(sizes) < STEP:
                return
            start += STEP

    async def _containers(self, container: Container) -> AsyncIterator[tuple[str, int]]:
        """Yield the keys that hold the ids in *container*, with their sizes."""
        count = "LLEN" if container.state in keys.LISTS else "ZCARD"
        key = keys.ids_in(container)
        yield key, cast("int", await execute(self._driver, count, key))
        if container.state is TaskState.AGGREGATING:
            async for key, size in self._aggregation_sets(container.queue):
                if keys.group_of_set(container.queue, key) == container.group:
                    yield key, size

    async def _slice(self, container: Container, key: str, at: int, end: int) -> list[TaskInfo]:
        """Return the tasks from rank *at* up to *end*, without poison; read them in steps."""
        tasks: list[TaskInfo] = []
        now = self._clock.now()
        while at < end and (rows := await self._rows(container, key, at, min(STEP, end - at))):
            for task_id, data, result, score, over in rows:
                message, is_sound = read_message(container.queue, task_id or b"", data or b"")
                if is_sound:
                    orphaned, at_and_result = bool(over), (score, result)
                    tasks.append(
                        task_info(
                            message, container.state, at_and_result, now=now, orphaned=orphaned
                        )
                    )
            at += len(rows)
        return tasks

    async def _rows(self, container: Container, key: str, start: int, limit: int) -> list[Fields]:
        call = scripts.list_tasks(
            container=key,
            lease=keys.lease(container.queue),
            task_prefix=keys.task(container.queue),
            listed=int(container.state in keys.LISTS),
            start=start,
            limit=limit,
            max_bytes=MAX_BYTES,
        )
        return cast("list[Fields]", await pipeline.run(self._driver, call))

    async def _memory_usage(self, queue: str, groups: Sequence[GroupInfo], grouped: int) -> int:
        containers = {keys.container(queue, state): state in keys.LISTS for state in _SAMPLED}
        names = [keys.group(queue, group.group) for group in groups[:SAMPLED_GROUPS]]
        samples = await self._samples(queue, containers | dict.fromkeys(names, False))
        total = 0.0
        for count, sampled, size, own in samples[: len(containers)]:
            total += own + (size / sampled * count if sampled else 0)
        sampled = sum(sample[1] for sample in samples[len(containers) :])
        size = sum(sample[2] for sample in samples[len(containers) :])
        return int(total + (size / sampled * grouped if sampled else 0))

    async def _samples(self, queue: str, containers: Mapping[str, bool]) -> list[list[int]]:
        """Return for each container: tasks, sampled tasks, their bytes, bytes of the key itself."""
        calls = [
            scripts.memory_usage(
                container=key, task_prefix=keys.task(queue), listed=int(listed), samples=SAMPLES
            )
            for key, listed in containers.items()
        ]
        replies = await pipeline.run_all(self._driver, calls)
        pipeline.raise_first(replies)
        return cast("list[list[int]]", replies)


def _count(queue: str, now: datetime) -> Call:
    """Return the call that reads the counts of *queue*, those of today at *now*."""
    day = f"{now:%Y-%m-%d}"
    return scripts.queue_stats(
        **{state: keys.container(queue, TaskState(state)) for state in _SIZES},
        groups=keys.groups(queue),
        aggregation_sets=keys.aggregation_sets(queue),
        paused=keys.paused(queue),
        processed=keys.processed(queue),
        failed=keys.failed(queue),
        processed_day=keys.processed(queue, day),
        failed_day=keys.failed(queue, day),
        task_prefix=keys.task(queue),
    )


def _info(
    queue: str, now: datetime, answer: Counts, *, aggregating: int, memory_usage: int
) -> QueueInfo:
    sizes, named, _, paused, counters, since, now_ns = answer
    counts = dict(zip(_SIZES, sizes, strict=True)) | {"aggregating": aggregating}
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
