"""The inspection port: look at queues, move tasks by hand, remove queues."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from redis.asyncio import RedisCluster

from pyasynq.broker.ports.inspection import Place, Removed
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import answered, execute
from pyasynq.broker.redis.look import RedisLook
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.broker.redis.order import RedisOrder
from pyasynq.broker.redis.pipeline import MAX_BULK
from pyasynq.broker.redis.records import read_id, sent_id
from pyasynq.broker.redis.scripts import Each
from pyasynq.core.errors import BrokerError
from pyasynq.core.states import Order, TaskState

DAYS: Final = 92
"""Counters of a day live for 90 days, and other machines may be a day ahead."""

ROUNDS: Final = 10
"""How often a queue is emptied again because producers go on adding."""

_WAITING: Final = tuple(
    state for state in TaskState if state not in {TaskState.ACTIVE, TaskState.AGGREGATING}
)
_CLOSED: Final = {1: None, 0: Removed.NOT_EMPTY, -1: Removed.ACTIVE}


class RedisInspection(RedisLook, RedisOrder):
    """All that an inspector needs, over one client."""

    async def remove(self, queue: str, *, force: bool) -> Removed:
        """Remove *queue* with all that belongs to it; its tasks as well only with *force*.

        Source:
            Protocol section 8.1 (asynq v0.26.0 ``RDB.RemoveQueue``).

        Differs:
            Completed and aggregating tasks count, and every key of the queue goes, in bounded steps
            (D23, D44). The queue is paused until it is gone, or it turns out that it stays. It is
            deregistered last, and registered again if a producer has added a task until then: no
            task is out of sight. Without *force* nothing is deleted that waits anywhere, even if it
            came in meanwhile.
        """
        if not force and await self._aggregating(queue):
            return Removed.NOT_EMPTY
        if await execute(self._driver, "EXISTS", keys.paused(queue)):
            return await self._removed(queue, force=force)
        try:
            removed = await self._removed(queue, force=force)
        except BaseException:
            with suppress(BrokerError):  # what failed first is told
                await self.unpause(queue)
            raise
        if removed is not Removed.DONE:
            await self.unpause(queue)
        return removed

    async def _aggregating(self, queue: str) -> bool:
        return any(group.size for group in await self.groups(queue)) or any(
            [size async for _, size in self._staged(queue)]
        )

    async def _removed(self, queue: str, *, force: bool) -> Removed:
        if (refused := await self._close(queue, force=force)) is not None:
            return refused
        for _ in range(ROUNDS if force else 1):
            await (self._empty(queue) if force else self._tidy(queue))
            if (refused := await self._remove_rest(queue)) is None:
                await self._deregister(queue)
                return Removed.DONE
        return refused or Removed.NOT_EMPTY

    async def _close(self, queue: str, *, force: bool) -> Removed | None:
        call = scripts.close(
            **{
                state.value: keys.container(queue, state) for state in (*_WAITING, TaskState.ACTIVE)
            },
            paused=keys.paused(queue),
            force=int(force),
            now_s=int(time.time()),
        )
        return _CLOSED[cast("int", await pipeline.run(self._driver, call))]

    async def _empty(self, queue: str) -> None:
        """Delete the tasks that are in *queue* now."""
        for state in _WAITING:
            await self._empty_place(Place(queue=queue, state=state))
        for group in await self.groups(queue):
            await self._empty_group(queue, group.group)
        for key in [key async for key, _ in self._staged(queue)]:
            await self._empty_group(queue, key.removeprefix(keys.group(queue)))
            await execute(self._driver, "ZREM", keys.aggregation_sets(queue), key)
        await self._sweep(queue, force=True)

    async def _tidy(self, queue: str) -> None:
        """Delete what belongs to no task of *queue*, and let no group be out of sight."""
        for group in await self.groups(queue):
            await self._forget_group(_group(queue, group.group))
        for key in [key async for key, size in self._staged(queue) if size == 0]:
            await execute(self._driver, "ZREM", keys.aggregation_sets(queue), key)
        await self._sweep(queue, force=False)

    async def _forget_group(self, place: Place) -> None:
        """Forget a group that is empty."""
        await self.order(Order.DELETE, place, ())

    async def _empty_group(self, queue: str, name: str) -> None:
        place = _group(queue, name)
        await self._forget_group(place)
        await self._empty_place(place)

    async def _empty_place(self, place: Place) -> None:
        left = await self.size(place)
        while left > 0 and (ids := await self.ids(place, min(left, MAX_BULK))):
            await self.order(Order.DELETE, place, ids)
            left -= len(ids)

    async def _sweep(self, queue: str, *, force: bool) -> None:
        """Delete tasks and locks of *queue* that nothing names.

        Groups that nobody registered are emptied with *force*, and registered without.
        """
        group = keys.group(queue)
        async for found in self._scan(queue):
            names = [key.removeprefix(group) for key in found if key.startswith(group)]
            if force:
                for name in names:
                    await self._empty_group(queue, name)
            elif names:
                await self._register_groups(queue, names)
            if each := _tasks_and_locks(queue, found):
                await self._delete_orphans(queue, each)

    async def _register_groups(self, queue: str, names: Sequence[str]) -> None:
        call = scripts.register_groups(
            [sent_id(keys.group(queue, name)) for name in names],
            groups=keys.groups(queue),
            aggregation_sets=keys.aggregation_sets(queue),
            group_prefix=keys.group(queue),
        )
        await pipeline.run(self._driver, call)

    async def _delete_orphans(self, queue: str, each: Sequence[Each]) -> None:
        call = scripts.orphans(
            each,
            pending=keys.container(queue, TaskState.PENDING),
            active=keys.container(queue, TaskState.ACTIVE),
            aggregation_sets=keys.aggregation_sets(queue),
            prefix=keys.prefix(queue),
        )
        await pipeline.run(self._driver, call)

    async def _scan(self, queue: str) -> AsyncIterator[list[str]]:
        """Yield the keys of *queue*, as many at once as one step over all keys finds."""
        pattern = keys.pattern(keys.prefix(queue))
        node: Any = self._driver
        if isinstance(node, RedisCluster):
            node = node.get_node_from_key(keys.paused(queue))
        cursor = 0
        while True:
            async with answered(self._driver):
                words = ("SCAN", cursor, "MATCH", pattern, "COUNT", MAX_BULK)
                cursor, found = await node.execute_command(*words)
            yield [read_id(key) for key in found]
            if int(cursor) == 0:
                return

    async def _remove_rest(self, queue: str) -> Removed | None:
        today = datetime.now(UTC).date() + timedelta(days=1)
        days = [f"{today - timedelta(days=n)}" for n in range(DAYS)]
        each = [key(queue, day) for day in days for key in (keys.processed, keys.failed)]
        call = scripts.remove(
            [sent_id(key) for key in (*each, keys.awaited(queue))],
            **{
                state.value: keys.container(queue, state) for state in (*_WAITING, TaskState.ACTIVE)
            },
            groups=keys.groups(queue),
            aggregation_sets=keys.aggregation_sets(queue),
            lease=keys.lease(queue),
            paused=keys.paused(queue),
            group_search=keys.group_search(queue),
            processed=keys.processed(queue),
            failed=keys.failed(queue),
        )
        return _CLOSED[cast("int", await pipeline.run(self._driver, call))]

    async def _deregister(self, queue: str) -> None:
        await execute(self._driver, "SREM", keys.QUEUES, queue)
        # On a cluster the names of queues are elsewhere: a producer may have come in between.
        sizes, groups, *_ = await self._counts(queue, datetime.now(UTC))
        if any((*sizes, groups)):
            await execute(self._driver, "SADD", keys.QUEUES, queue)


def _group(queue: str, name: str) -> Place:
    return Place(queue=queue, state=TaskState.AGGREGATING, group=name)


def _tasks_and_locks(queue: str, found: Sequence[str]) -> list[Each]:
    """Return what `orphans` takes for the keys in *found* that are a task or a lock."""
    task, lock = keys.task(queue), keys.unique_locks(queue)
    each: list[Each] = []
    for key in found:
        if key.startswith(task):
            each += (sent_id(key), sent_id(key.removeprefix(task)))
        elif key.startswith(lock):
            each += (sent_id(key), "")
    return each
