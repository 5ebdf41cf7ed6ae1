"""The inspection port: read queues, act on tasks, remove queues."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, cast

from pyasynq.broker.ports.inspection import Container, Progress, RemoveResult
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys, pipeline, shared_keys
from pyasynq.broker.redis.actions import RedisActions
from pyasynq.broker.redis.batches import RedisBatches
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.groups import RedisGroups
from pyasynq.broker.redis.last_errors import RedisLastErrors
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.broker.redis.read import RedisRead
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import MAX_BULK
from pyasynq.core.run_stats import KEPT_S
from pyasynq.core.states import Action, TaskState
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock

DAYS: Final = 92
"""Days of counters to delete: they live for 90, and other machines may be a day ahead."""

FLOWS_AT_ONCE: Final = 20
"""Flows that one call deletes; each may have a thousand steps."""

EMPTIED_FIRST: Final = (
    TaskState.SCHEDULED,
    TaskState.RETRY,
    TaskState.ARCHIVED,
    TaskState.COMPLETED,
)
"""The states that are emptied before the groups and pending."""

_RESULTS: Final = {1: RemoveResult.DONE, 0: RemoveResult.NOT_EMPTY, -1: RemoveResult.ACTIVE}


class RedisInspection(RedisRead, RedisActions, RedisLastErrors):
    """All that an inspector needs, over one client."""

    def __init__(
        self, driver: Driver, groups: RedisGroups, batches: RedisBatches, clock: Clock
    ) -> None:
        """Send calls over *driver*; *groups* and *batches* find their tasks."""
        super().__init__(driver, groups, clock)
        self._batches = batches

    async def remove(
        self, queue: str, *, force: bool, progress: Progress | None = None
    ) -> RemoveResult:
        """Remove *queue* and all its keys; a queue with tasks only with *force*.

        Source:
            Protocol section 8.1 (asynq v0.26.0 ``RDB.RemoveQueue``).

        Differs:
            Completed and aggregating tasks count as tasks, and every key of the queue is deleted,
            in bounded steps (D23, D44). The queue is paused meanwhile. If producers add tasks, the
            queue stays and is resumed.
        """
        # A replica refuses this write; its counts may be old.
        await execute(self._driver, "ZREM", keys.container(queue, TaskState.SCHEDULED), "")
        if (refusal := await self._refusal(queue, force=force)) is not None:
            return refusal  # before pausing, so that workers go on
        if await execute(self._driver, "EXISTS", keys.paused(queue)):
            return await self._remove(queue, _Deleted(progress), force=force)
        removed = RemoveResult.NOT_EMPTY
        try:
            await self.pause(queue, paused=True)
            removed = await self._remove(queue, _Deleted(progress), force=force)
        finally:
            if removed is not RemoveResult.DONE:
                await run_to_end(functools.partial(self._resume, queue))
        return removed

    async def _resume(self, queue: str) -> None:
        with suppress(BrokerError):  # the first error is raised, not this one
            await self.pause(queue, paused=False)

    async def _refusal(self, queue: str, *, force: bool) -> RemoveResult | None:
        """Return why *queue* cannot be removed now; None if it can."""
        info = await self.queue_info(queue, memory=False)
        if info.active:
            return RemoveResult.ACTIVE
        if force:
            return None
        flows = await execute(self._driver, "ZCARD", keys.flows(queue))
        return RemoveResult.NOT_EMPTY if info.size or flows else None

    async def _remove(self, queue: str, deleted: "_Deleted", *, force: bool) -> RemoveResult:
        """Remove *queue*, which must be paused, so that no worker takes a task."""
        await self._groups.register(queue)
        if (refusal := await self._refusal(queue, force=force)) is not None:
            return refusal
        # Pending last, because forwarders and aggregators still move tasks there.
        if force:
            await self._empty_all(queue, EMPTIED_FIRST, deleted)
        await self._clear_groups(queue, deleted, delete=force)
        if force:
            await self._empty_all(queue, (TaskState.PENDING,), deleted)
            await execute(self._driver, "UNLINK", keys.mail(queue), keys.mail_bodies(queue))
            await self._delete_flows(queue, keys.flows(queue))
        await self._delete_flows(queue, keys.ended_flows(queue))
        await self._batches.remove(queue, force=force)
        removed = await self._remove_rest(queue)
        if removed is RemoveResult.DONE:
            await self._deregister(queue)
        return removed

    async def _empty_all(
        self, queue: str, states: Sequence[TaskState], deleted: "_Deleted"
    ) -> None:
        info = await self.queue_info(queue, memory=False)
        for state in states:
            size = getattr(info, state.value)
            await self._empty(Container(queue=queue, state=state), size, deleted)

    async def _clear_groups(self, queue: str, deleted: "_Deleted", *, delete: bool) -> None:
        """Unregister empty groups and aggregation sets; with *delete* delete their tasks first."""
        for group in await self._groups.group_sizes(queue):
            if delete:
                await self._empty(_group(queue, group.group), group.size, deleted)
            await self.apply(Action.DELETE, _group(queue, group.group), ())
        for key, size in [found async for found in self._aggregation_sets(queue)]:
            if delete:
                container = _group(queue, key.removeprefix(keys.group(queue)))
                await self._empty(container, size, deleted)
            if delete or not size:
                await execute(self._driver, "ZREM", keys.aggregation_sets(queue), key)

    async def _empty(self, container: Container, size: int, deleted: "_Deleted") -> None:
        """Delete up to *size* tasks of *container*; tasks that come meanwhile may stay."""
        for _ in range(0, size, MAX_BULK):
            deleted.add(await self.apply(Action.DELETE, container, MAX_BULK))

    async def _delete_flows(self, queue: str, register: str) -> None:
        """Delete the flows whose ids are in *register* now; flows that come meanwhile may stay."""
        count = cast("int", await execute(self._driver, "ZCARD", register))
        for _ in range(0, count, FLOWS_AT_ONCE):
            found = await execute(self._driver, "ZRANGE", register, 0, FLOWS_AT_ONCE - 1)
            ids = [decode_name(flow_id) for flow_id in cast("list[bytes]", found)]
            if ids:
                await execute(self._driver, "UNLINK", *(keys.flow(queue, it) for it in ids))
                await execute(self._driver, "ZREM", register, *ids)

    async def _remove_rest(self, queue: str) -> RemoveResult:
        today = self._clock.now().date() + timedelta(days=1)
        days = [f"{today - timedelta(days=n)}" for n in range(DAYS)]
        each = [key(queue, day) for day in days for key in (keys.processed, keys.failed)]
        call = scripts.delete_queue_keys(
            [*each, *self._run_keys(queue), keys.awaited_ids(queue), *keys.holders(queue)],
            **{
                state.value: keys.container(queue, state)
                for state in (*EMPTIED_FIRST, TaskState.PENDING, TaskState.ACTIVE)
            },
            groups=keys.groups(queue),
            aggregation_sets=keys.aggregation_sets(queue),
            batches=keys.batches(queue),
            mail=keys.mail(queue),
            mail_bodies=keys.mail_bodies(queue),
            flows=keys.flows(queue),
            flows_ended=keys.ended_flows(queue),
            flow_timers=keys.flow_timers(queue),
            flow_locks=keys.flow_locks(queue),
            lease=keys.lease(queue),
            paused=keys.paused(queue),
            group_search=keys.group_search(queue),
            processed=keys.processed(queue),
            failed=keys.failed(queue),
        )
        return _RESULTS[cast("int", await pipeline.run(self._driver, call))]

    def _run_keys(self, queue: str) -> Iterator[str]:
        """Yield the keys of all spans that may be kept, also if other clocks are a span ahead."""
        now_s = int(self._clock.now().timestamp())
        for length_s, kept_s in KEPT_S.items():
            last_s = now_s - now_s % length_s + length_s
            for start_s in range(last_s, now_s - kept_s - 2 * length_s, -length_s):
                yield keys.runs(queue, f"{length_s}:{start_s}")

    async def _deregister(self, queue: str) -> None:
        await execute(self._driver, "SREM", shared_keys.QUEUES, queue)
        # On a cluster the names of queues are on another node, so this is not atomic with the
        # removal: register the queue again if a producer has added a task in between.
        sizes, groups, *_ = await self._counts(queue, self._clock.now())
        if any((*sizes, groups)):
            await execute(self._driver, "SADD", shared_keys.QUEUES, queue)


class _Deleted:
    """Counts deleted tasks, and reports them to the caller."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._count = 0

    def add(self, count: int) -> None:
        self._count += count
        if self._progress is not None:
            self._progress(self._count)


def _group(queue: str, name: str) -> Container:
    return Container(queue=queue, state=TaskState.AGGREGATING, group=name)
