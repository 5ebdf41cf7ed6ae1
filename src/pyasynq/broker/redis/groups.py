"""Combine the tasks of a group into one.

The tasks of a ready group move into an aggregation set, which has a UUID and an end. Until that
second nobody else takes the tasks; after it any server may put them back, so no task is lost if
this process dies.
"""

import uuid
from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final, cast

from redis.asyncio import RedisCluster

from pyasynq.broker.ports.groups import (
    AggregationSet,
    GroupedTask,
    GroupRules,
    ReadyGroups,
    ReclaimResult,
)
from pyasynq.broker.records import decode_name, encode_name, read_message
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import CommandArg, Driver, broker_errors
from pyasynq.broker.redis.lua import groups as scripts
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import GroupInfo
from pyasynq.core.message import encode
from pyasynq.core.policy import (
    ARCHIVE_S,
    HELD_S,
    IN_CHARGE_S,
    MAX_BYTES,
    MAX_SET,
    MAX_TASKS,
    MOST_ARCHIVED,
    STUCK_S,
)
from pyasynq.core.states import TaskState

STEP: Final = 250
"""Groups that one call counts."""

SEARCH_COUNT: Final = 1000
"""Keys that one step of the search for groups reads."""

SEARCH_PAUSE_S: Final = 1
"""Time between two steps of the search."""

SEARCH_REST_S: Final = 60
"""Time between the end of a search and the next one."""


class RedisGroups:
    """The port for groups."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def ready(self, queue: str, rules: GroupRules, *, server_id: str) -> ReadyGroups:
        """Return the groups of *queue* that are ready, if no other server combines them."""
        names: list[str] = []
        waits: list[int] = []
        cursor = b"0"
        while True:
            call = scripts.ready_groups(
                holder=keys.combiner(queue),
                groups=keys.groups(queue),
                owner=server_id,
                hold_s=IN_CHARGE_S,
                group_prefix=keys.group(queue),
                cursor=cursor,
                limit=MAX_TASKS,
                **_criteria(rules),
            )
            reply = await pipeline.run(self._driver, call)
            held_ms, cursor, wait_ms, found = cast("tuple[int, bytes, int, list[bytes]]", reply)
            if held_ms >= 0:
                return ReadyGroups(names=[], next_in_s=None, held_elsewhere_s=held_ms / 1000)
            names += [decode_name(name) for name in found]
            if wait_ms >= 0:
                waits.append(wait_ms)
            if cursor == b"0":
                break
        return ReadyGroups(names=names, next_in_s=min(waits) / 1000 if waits else None)

    async def stage(self, queue: str, group: str, rules: GroupRules) -> AggregationSet | None:
        """Move the oldest tasks of *group* into a set of ours; None if the group is not ready."""
        group_set = AggregationSet(queue=queue, group=group, id=str(uuid.uuid4()))
        call = scripts.stage_set(
            **_set_keys(group_set),
            groups=keys.groups(queue),
            group=keys.group(queue, group),
            name=group,
            limit=min(rules.max_size or MAX_SET, MAX_SET),
            ends_in_s=HELD_S,
            **_criteria(rules),
        )
        return group_set if await pipeline.run(self._driver, call) else None

    async def read_set(self, group_set: AggregationSet) -> list[GroupedTask] | None:
        """Return the tasks of *group_set*, oldest first; None if the set is no longer ours.

        Ids without a task are removed from the set.
        """
        tasks: list[GroupedTask] = []
        while True:
            call = scripts.read_set(
                **_set_keys(group_set),
                task_prefix=keys.task(group_set.queue),
                start=len(tasks),
                limit=MAX_TASKS,
                max_bytes=MAX_BYTES,
            )
            reply = await pipeline.run(self._driver, call)
            if reply is None:
                return None
            more, *fields = cast("list[bytes]", reply)
            tasks += [
                _grouped_task(group_set.queue, *fields[at : at + 3])
                for at in range(0, len(fields), 3)
            ]
            if not more:
                return tasks

    async def hold_set(self, group_set: AggregationSet) -> bool:
        """Hold *group_set* for another `HELD_S`; False if its tasks were put back."""
        call = scripts.hold_set(**_set_keys(group_set), ends_in_s=HELD_S)
        return await pipeline.run(self._driver, call) == 1

    async def postpone(
        self, group_set: AggregationSet, failed: Sequence[GroupedTask], *, wait_s: int
    ) -> bool:
        """Count a failure of each task in *failed*; let *group_set* be put back after *wait_s*."""
        call = scripts.postpone_set(
            [task.id for task in failed],
            **_set_keys(group_set),
            task_prefix=keys.task(group_set.queue),
            wait_s=wait_s,
        )
        return await pipeline.run(self._driver, call) == 1

    async def archive(self, group_set: AggregationSet, tasks: Sequence[GroupedTask]) -> int:
        """Archive *tasks* with their given messages; return how many were still in *group_set*."""
        messages = [b"" if task.message is None else encode(task.message) for task in tasks]
        archived = 0
        for indexes in pipeline.batches(repeat(group_set), map(len, messages)):
            each: list[Each] = []
            for index in indexes:
                each += (tasks[index].id, blob(messages[index]))
            call = scripts.archive_grouped(
                each,
                **_set_keys(group_set),
                archived=keys.container(group_set.queue, TaskState.ARCHIVED),
                task_prefix=keys.task(group_set.queue),
                archive_s=ARCHIVE_S,
                most_archived=MOST_ARCHIVED,
            )
            archived += cast("int", await pipeline.run(self._driver, call))
        return archived

    async def unstage(self, group_set: AggregationSet) -> int:
        """Put the tasks of *group_set* back into their group now; return how many."""
        call = scripts.unstage_set(
            **_set_keys(group_set),
            groups=keys.groups(group_set.queue),
            group_prefix=keys.group(group_set.queue),
            limit=MAX_SET,
        )
        return cast("int", await pipeline.run(self._driver, call))

    async def reclaim(self, queue: str) -> ReclaimResult:
        """Put back the sets that nobody holds any more; register groups that are not registered.

        A set that Go made can have any size and is put back in parts.

        Raises:
            BrokerError: If a set cannot be put back, because the key of its group is not a sorted
                set. It is tried again after `STUCK_S`. All other sets are put back first.
        """
        reclaimed = await self._put_back_all(queue)
        found, wait_s = await self._search(queue)
        return ReclaimResult(tasks=reclaimed, groups=found, next_in_s=wait_s)

    async def group_sizes(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks, by name."""
        sizes: dict[str, int] = {}
        cursor = b"0"
        while True:
            call = scripts.group_sizes(
                groups=keys.groups(queue),
                group_prefix=keys.group(queue),
                cursor=cursor,
                limit=STEP,
            )
            cursor, *found = cast("list[bytes]", await pipeline.run(self._driver, call))
            names = map(decode_name, found[::2])
            sizes.update(zip(names, cast("list[int]", found[1::2]), strict=True))
            if cursor == b"0":
                return [GroupInfo(group=name, size=sizes[name]) for name in sorted(sizes)]

    async def register(self, queue: str) -> None:
        """Register all unregistered groups and aggregation sets of *queue*; this reads all keys."""
        prefix = keys.group(queue)
        node: Any = self._driver
        if isinstance(node, RedisCluster):
            node = node.get_node_from_key(keys.groups(queue))
        cursor = None
        while cursor != 0:
            async with broker_errors(self._driver):
                command = (
                    "SCAN",
                    cursor or 0,
                    "MATCH",
                    encode_name(keys.pattern(prefix)),
                    "COUNT",
                    SEARCH_COUNT,
                )
                cursor, found = await node.execute_command(*command)
            cursor = int(cursor)
            if found:
                call = scripts.register_groups(
                    [decode_name(key) for key in found],
                    groups=keys.groups(queue),
                    aggregation_sets=keys.aggregation_sets(queue),
                    group_prefix=prefix,
                )
                await pipeline.run(self._driver, call)

    async def _put_back_all(self, queue: str) -> int:
        reclaimed = 0
        stuck: list[str] = []
        while True:
            call = scripts.reclaim_sets(
                groups=keys.groups(queue),
                aggregation_sets=keys.aggregation_sets(queue),
                group_prefix=keys.group(queue),
                limit=MAX_SET,
                rest_s=STUCK_S,
            )
            reply = cast("int | bytes", await pipeline.run(self._driver, call))
            if isinstance(reply, bytes):
                stuck.append(decode_name(reply))
            elif reply >= 0:
                reclaimed += reply
            else:
                break
        if stuck:
            msg = f"Redis: WRONGTYPE: the groups of {stuck} are not sorted sets; their tasks wait"
            raise BrokerError(msg)
        return reclaimed

    async def _search(self, queue: str) -> tuple[int, float]:
        """Register unregistered groups among the next keys of Redis.

        Returns:
            The number of groups that were registered, and the seconds until the next step.
        """
        prefix = keys.group(queue)
        call = scripts.find_groups(
            groups=keys.groups(queue),
            aggregation_sets=keys.aggregation_sets(queue),
            search=keys.group_search(queue),
            group_prefix=prefix,
            pattern=keys.pattern(prefix),
            count=SEARCH_COUNT,
            pause_s=SEARCH_PAUSE_S,
            rest_s=SEARCH_REST_S,
        )
        found, wait_s = cast("tuple[int, int]", await pipeline.run(self._driver, call))
        return found, wait_s


def _criteria(rules: GroupRules) -> dict[str, CommandArg]:
    return {
        "grace_s": rules.grace_s,
        "max_delay_s": rules.max_delay_s,
        "max_size": rules.max_size,
    }


def _set_keys(group_set: AggregationSet) -> dict[str, CommandArg]:
    return {
        "aggregation_sets": keys.aggregation_sets(group_set.queue),
        "set": keys.aggregation_set(group_set.queue, group_set.group, group_set.id),
    }


def _grouped_task(queue: str, task_id: bytes, data: bytes, failures: bytes) -> GroupedTask:
    message, is_sound = read_message(queue, task_id, data)
    return GroupedTask(
        id=decode_name(task_id),
        message=message if is_sound else None,
        failures=int(failures) if failures.isdigit() else 0,
    )
