"""Combine the tasks of a group into one.

A staged task stays where it is and names its set. Groups are found through the index of their
tasks, so none of them is registered, and none can be lost.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from pyasynq.broker.ports.groups import (
    AggregationSet,
    GroupedTask,
    GroupRules,
    ReadyGroups,
    ReclaimResult,
)
from pyasynq.broker.records import read_message
from pyasynq.broker.sqlite.schema import AGGREGATING, ARCHIVED, STAGED
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS, trim_archive
from pyasynq.core.info import GroupInfo
from pyasynq.core.message import encode
from pyasynq.core.policy import HELD_S, MAX_BYTES, MAX_SET, MAX_TASKS

RECLAIM_S = 60.0
"""Seconds until the next look for sets that nobody holds."""

STEP: Final = 1000
"""Groups that one transaction looks at."""

T = TypeVar("T")


class SqliteGroups:
    """The port for groups."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def ready(self, queue: str, rules: GroupRules, *, server_id: str) -> ReadyGroups:
        """Return the groups of *queue* that are ready to be combined, by whichever server."""
        del server_id
        names: list[str] = []
        waits: list[float] = []
        last = ""
        while True:
            groups = await self._store.read(partial(_ready, queue, last, rules))
            names += [name for name, wait_s in groups if wait_s <= 0]
            waits += [wait_s for _, wait_s in groups if wait_s > 0]
            if len(groups) < STEP:
                return ReadyGroups(names=names, next_in_s=min(waits) if waits else None)
            last = groups[-1][0]
            await asyncio.sleep(0)

    async def stage(self, queue: str, group: str, rules: GroupRules) -> AggregationSet | None:
        """Move the oldest tasks of *group* into a set of ours; None if the group is not ready."""
        group_set = AggregationSet(queue=queue, group=group, id=str(uuid.uuid4()))
        staged = await self._store.write(partial(_stage, group_set, rules))
        return group_set if staged else None

    async def read_set(self, group_set: AggregationSet) -> list[GroupedTask] | None:
        """Return the tasks of *group_set*, oldest first; None if the set is no longer ours."""
        tasks: list[GroupedTask] = []
        while True:
            more = await self._store.read(partial(_read_set, group_set, len(tasks)))
            if more is None:
                return None
            tasks += more
            if not more:
                return tasks
            await asyncio.sleep(0)

    async def hold_set(self, group_set: AggregationSet) -> bool:
        """Hold *group_set* for another `HELD_S`; False if its tasks were put back."""
        return await self._change_set(group_set, partial(_set_end, wait_s=HELD_S), lost=False)

    async def postpone(
        self, group_set: AggregationSet, failed: Sequence[GroupedTask], *, wait_s: int
    ) -> bool:
        """Count a failure of each task in *failed*; let *group_set* be put back after *wait_s*."""

        def postpone(group_set: AggregationSet, tx: Transaction) -> bool:
            sql = f"""UPDATE pyasynq_task SET failures = coalesce(failures, 0) + 1
                WHERE set_id = ? AND state = {STAGED} AND id = ?"""
            tx.executemany(sql, [(group_set.id, task.id) for task in failed])
            return _set_end(group_set, tx, wait_s=wait_s)

        return await self._change_set(group_set, postpone, lost=False)

    async def archive(self, group_set: AggregationSet, tasks: Sequence[GroupedTask]) -> int:
        """Archive *tasks* with their given messages; return how many were still in *group_set*."""
        archived = 0
        for start in range(0, len(tasks), MAX_TASKS):
            some = partial(_archive, tasks[start : start + MAX_TASKS])
            archived += await self._change_set(group_set, some, lost=0)
            await asyncio.sleep(0)
        return archived

    async def unstage(self, group_set: AggregationSet) -> int:
        """Put the tasks of *group_set* back into their group now; return how many."""
        return await self._change_set(group_set, _put_back, lost=0)

    async def reclaim(self, queue: str) -> ReclaimResult:
        """Put back the sets that nobody holds any more; there are no unregistered groups."""
        over = await self._store.read(partial(_sets_over, queue))
        tasks = 0
        for group_set in over:
            tasks += await self._store.write(partial(_put_back_if_over, group_set))
        return ReclaimResult(tasks=tasks, groups=0, next_in_s=RECLAIM_S)

    async def group_sizes(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks, by name."""
        return await self._store.read(partial(group_sizes, queue))

    async def _change_set(
        self,
        group_set: AggregationSet,
        change: Callable[[AggregationSet, Transaction], T],
        *,
        lost: T,
    ) -> T:
        """Return what *change* returns for the set, or *lost* if it is no longer ours."""

        def change_if_ours(tx: Transaction) -> T:
            return change(group_set, tx) if _is_there(group_set, tx) else lost

        return await self._store.write(change_if_ours)


def group_sizes(queue: str, tx: Transaction) -> list[GroupInfo]:
    """Return the groups of *queue* with waiting tasks, by name."""
    sql = f"""SELECT group_name, count(*) FROM pyasynq_task
        WHERE queue = ? AND state = {AGGREGATING} GROUP BY group_name"""
    rows = tx.rows(sql, tx.queue_id(queue))
    return [GroupInfo(group=group, size=size) for group, size in sorted(rows)]


def _ready(queue: str, last: str, rules: GroupRules, tx: Transaction) -> list[tuple[str, float]]:
    """Return up to `STEP` groups behind *last*, and the seconds until each is ready."""
    values = (tx.queue_id(queue), last, rules.max_size or 0, STEP)
    groups = tx.rows(_GROUPS, *values)
    return [(name, _ready_in_s(tx, rules, *row)) for name, *row in groups]


_IN_GROUP = f"FROM pyasynq_task WHERE queue = ?1 AND state = {AGGREGATING} AND group_name"

_GROUP = f"""SELECT (SELECT min(at) {_IN_GROUP} = ?2), (SELECT max(at) {_IN_GROUP} = ?2),
    (SELECT count(*) FROM (SELECT 1 {_IN_GROUP} = ?2 LIMIT ?3))"""
"""First and last instant of a group, and its size up to a limit; NULL without tasks."""

_GROUPS = f"""WITH RECURSIVE groups(name) AS (
    SELECT min(group_name) {_IN_GROUP} > ?2
    UNION ALL SELECT (SELECT min(group_name) {_IN_GROUP} > groups.name) FROM groups
    WHERE name IS NOT NULL LIMIT ?4)
    SELECT name, (SELECT min(at) {_IN_GROUP} = name), (SELECT max(at) {_IN_GROUP} = name),
    (SELECT count(*) FROM (SELECT 1 {_IN_GROUP} = name LIMIT ?3))
    FROM groups WHERE name IS NOT NULL"""
"""Names with first and last instant, and the size up to a limit.

Each is a search in the index, whatever the number of tasks is.
"""


def _ready_in_s(tx: Transaction, rules: GroupRules, oldest: int, newest: int, size: int) -> float:
    """Return the seconds until a group is ready; 0 or less if it is."""
    if rules.max_size and size >= rules.max_size:
        return 0.0
    at_s = newest / MICROS + rules.grace_s
    if rules.max_delay_s:
        at_s = min(at_s, oldest / MICROS + rules.max_delay_s)
    return at_s - tx.now_us / MICROS


def _stage(group_set: AggregationSet, rules: GroupRules, tx: Transaction) -> bool:
    queue = tx.queue_id(group_set.queue)
    row = tx.row(_GROUP, queue, group_set.group, rules.max_size or 0)
    if row is None or row[0] is None or _ready_in_s(tx, rules, *row) > 0:
        return False
    sql = f"""SELECT seq FROM pyasynq_task WHERE queue = ? AND state = {AGGREGATING}
        AND group_name = ? ORDER BY at, seq LIMIT ?"""
    limit = min(rules.max_size or MAX_SET, MAX_SET)
    seqs = tx.rows(sql, queue, group_set.group, limit)
    sql = f"UPDATE pyasynq_task SET state = {STAGED}, set_id = ? WHERE seq = ?"
    tx.executemany(sql, [(group_set.id, seq) for (seq,) in seqs])
    row = (group_set.id, queue, group_set.group, tx.now_us + HELD_S * MICROS)
    tx.execute("INSERT INTO pyasynq_set VALUES (?, ?, ?, ?)", row)
    return True


def _read_set(group_set: AggregationSet, start: int, tx: Transaction) -> list[GroupedTask] | None:
    """Return tasks of a set from number *start* on, at most `MAX_BYTES` of them."""
    if not _is_there(group_set, tx):
        return None
    sql = f"""SELECT id, message, failures FROM pyasynq_task WHERE set_id = ? AND state = {STAGED}
        ORDER BY at, seq LIMIT ? OFFSET ?"""
    tasks: list[GroupedTask] = []
    left = MAX_BYTES
    for task_id, data, failures in tx.rows(sql, group_set.id, MAX_TASKS, start):
        if left <= 0:
            break
        left -= len(data)
        message, is_sound = read_message(group_set.queue, task_id.encode(), data)
        sound = message if is_sound else None
        tasks.append(GroupedTask(id=task_id, message=sound, failures=failures or 0))
    return tasks


def _is_there(group_set: AggregationSet, tx: Transaction) -> bool:
    sql = "SELECT 1 FROM pyasynq_set WHERE id = ? AND queue = ?"
    return tx.row(sql, group_set.id, tx.queue_id(group_set.queue)) is not None


def _set_end(group_set: AggregationSet, tx: Transaction, *, wait_s: int) -> bool:
    ends = tx.now_us + wait_s * MICROS
    tx.execute("UPDATE pyasynq_set SET ends = ? WHERE id = ?", (ends, group_set.id))
    return True


def _archive(tasks: Sequence[GroupedTask], group_set: AggregationSet, tx: Transaction) -> int:
    queue = tx.register(group_set.queue)
    trim_archive(tx, queue, incoming=len(tasks))
    sql = f"""UPDATE pyasynq_task SET state = {ARCHIVED}, at = ?, message = coalesce(?, message),
        group_name = NULL, set_id = NULL, failures = NULL
        WHERE set_id = ? AND state = {STAGED} AND id = ?"""
    archived = 0
    for task in tasks:
        message = None if task.message is None else encode(task.message)
        archived += tx.execute(sql, (tx.now_us, message, group_set.id, task.id)).rowcount
    _delete_if_empty(group_set, tx)
    return archived


def _put_back(group_set: AggregationSet, tx: Transaction) -> int:
    sql = f"""UPDATE pyasynq_task SET state = {AGGREGATING}, set_id = NULL
        WHERE set_id = ? AND state = {STAGED}"""
    count = tx.execute(sql, (group_set.id,)).rowcount
    _delete_if_empty(group_set, tx)
    return count


def _put_back_if_over(group_set: AggregationSet, tx: Transaction) -> int:
    sql = "SELECT 1 FROM pyasynq_set WHERE id = ? AND ends <= ?"
    return 0 if tx.row(sql, group_set.id, tx.now_us) is None else _put_back(group_set, tx)


def _delete_if_empty(group_set: AggregationSet, tx: Transaction) -> None:
    sql = f"SELECT 1 FROM pyasynq_task WHERE set_id = ? AND state = {STAGED} LIMIT 1"
    if tx.row(sql, group_set.id) is None:
        tx.execute("DELETE FROM pyasynq_set WHERE id = ?", (group_set.id,))


def _sets_over(queue: str, tx: Transaction) -> list[AggregationSet]:
    sql = "SELECT id, group_name FROM pyasynq_set WHERE queue = ? AND ends <= ?"
    rows = tx.rows(sql, tx.queue_id(queue), tx.now_us)
    return [AggregationSet(queue=queue, group=group, id=set_id) for set_id, group in rows]
