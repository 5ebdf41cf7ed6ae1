"""Read queues and tasks."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from pyasynq.broker.ports.inspection import Container, Matches, Page, StoredTask
from pyasynq.broker.sqlite.groups import group_sizes
from pyasynq.broker.sqlite.schema import (
    ACTIVE,
    AGGREGATING,
    IS_WAITING,
    NUMBERS,
    PENDING,
    STAGED,
    STATES,
)
from pyasynq.broker.sqlite.store import Row, Store, Transaction, marks
from pyasynq.broker.sqlite.tasks import (
    TASK_COLUMNS,
    TaskRow,
    day_of,
    stored_task,
    task_info,
)
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import DailyStats, QueueInfo, TaskInfo
from pyasynq.core.policy import MAX_BYTES
from pyasynq.core.states import TaskState

STEP: Final = 250
"""Tasks that one transaction reads."""

SAMPLES: Final = 100
"""Tasks of a queue whose size is measured to estimate the size of all."""

ROW_BYTES: Final = 150
"""What a task takes beside its message and result, with its entries in the indexes."""


class SqliteRead:
    """The part of the inspection port that reads; the rest is in `inspection`."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def queues(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the names of all known queues, or of the known ones in *among*, sorted."""
        sql = "SELECT name FROM pyasynq_queue WHERE name IS NOT NULL"
        rows = await self._store.read(lambda tx: tx.rows(sql))
        names = {name for (name,) in rows}
        return sorted(names if among is None else names.intersection(among))

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; without *memory* its memory is 0 and not estimated."""
        return await self._store.read_long(partial(self._queue_info, queue, memory=memory))

    async def queue_infos(self, queues: Sequence[str]) -> Sequence[QueueInfo | BrokerError]:
        """Return the counts of *queues*, each in a transaction of its own."""
        return [await self.queue_info(queue, memory=False) for queue in queues]

    def _queue_info(self, queue: str, tx: Transaction, *, memory: bool) -> QueueInfo:
        sql = "SELECT id, paused_s IS NOT NULL, processed, failed FROM pyasynq_queue WHERE name = ?"
        number, paused, processed_total, failed_total = tx.row(sql, queue) or (None, False, 0, 0)
        counts = _counts(tx, number)
        sql = "SELECT processed, failed FROM pyasynq_day WHERE queue = ? AND day = ?"
        processed, failed = tx.row(sql, number, day_of(tx.now_s)) or (0, 0)
        sql = f"SELECT min(at) FROM pyasynq_task WHERE queue = ? AND state = {PENDING}"
        ((oldest_us,),) = tx.rows(sql, number)
        waited_us = 0 if oldest_us is None else max(0, tx.now_us - oldest_us)
        size = sum(counts.values())
        return QueueInfo(
            queue=queue,
            timestamp=self._store.clock.now(),
            size=size,
            **counts,
            groups=len(group_sizes(queue, tx)),
            processed=processed,
            failed=failed,
            processed_total=processed_total,
            failed_total=failed_total,
            paused=bool(paused),
            latency=timedelta(microseconds=waited_us),
            memory_usage=_size(tx, number) * size if memory and size else 0,
        )

    async def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the counters of the last *days* days, today first."""
        today = self._store.clock.now().date()
        dates = [today - timedelta(days=n) for n in range(days)]
        sql = "SELECT day, processed, failed FROM pyasynq_day WHERE queue = ? AND day >= ?"
        rows = await self._store.read(lambda tx: tx.rows(sql, tx.queue_id(queue), f"{dates[-1]}"))
        found = {day: (processed, failed) for day, processed, failed in rows}
        stats = [(date, *found.get(f"{date}", (0, 0))) for date in dates]
        return [
            DailyStats(queue=queue, date=date, processed=processed, failed=failed)
            for date, processed, failed in stats
        ]

    async def task(self, queue: str, task_id: str) -> StoredTask | None:
        """Return one task, also if its message cannot be decoded; None if it does not exist."""
        row = await self._store.read(lambda tx: find_task(tx, queue, task_id))
        return None if row is None else stored_task(queue, row, self._store.clock.now())

    async def tasks(self, container: Container, start: int, count: int) -> Page:
        """Return up to *count* tasks in order, after skipping the first *start*."""
        tasks: list[TaskInfo] = []
        end = start + count
        now = self._store.clock.now()
        while True:
            step = partial(_slice, container, start, min(STEP, end - start))
            rows, more = await self._store.read(step)
            infos = (task_info(container.queue, row, now) for row in rows)
            tasks += [info for info in infos if info is not None]
            start += len(rows)
            if not more or start >= end:
                return Page(tasks=tasks, more=more)
            await asyncio.sleep(0)

    async def find_errors(self, container: Container, text: str, start: int, count: int) -> Matches:
        """Find the tasks whose last error contains *text*, in upper or lower case."""
        page = await self.tasks(container, start, count)
        wanted = text.lower()
        ids = [it.id for it in page.tasks if wanted in (it.last_error or "").lower()]
        return Matches(ids=ids, looked_at=count if page.more else len(page.tasks))


def find_task(tx: Transaction, queue: str, task_id: str) -> TaskRow | None:
    """Return the row of a task; None if it does not exist."""
    sql = f"SELECT {TASK_COLUMNS}, t.attempts FROM pyasynq_task t WHERE t.queue = ? AND t.id = ?"
    row = tx.row(sql, tx.queue_id(queue), task_id)
    return None if row is None else TaskRow(*row)


def rows_in(tx: Transaction, container: Container, which: Sequence[str] | int) -> list[Row]:
    """Return row number, id and encoded message of tasks, the next to run first.

    Args:
        tx: The transaction.
        container: Where they wait. Tasks in aggregation sets are not in it.
        which: Their ids, or how many to return.
    """
    queue = tx.queue_id(container.queue)
    state = NUMBERS[container.state]
    where, values = in_container(container, queue, state)
    sql = f"SELECT t.seq, t.id, t.message FROM pyasynq_task t WHERE {where}"
    if isinstance(which, int):
        return tx.rows(f"{sql} ORDER BY t.at, t.seq LIMIT ?", *values, which)
    found: dict[str, Row] = {}
    ids = list(dict.fromkeys(which))
    for start in range(0, len(ids), STEP):
        some = ids[start : start + STEP]
        named = f"{sql} AND t.id IN ({marks(len(some))})"
        found |= {row[1]: row for row in tx.rows(named, *values, *some)}
    return [found[task_id] for task_id in ids if task_id in found]


def in_container(
    container: Container, queue: int | None, state: int
) -> tuple[str, tuple[object, ...]]:
    """Return a condition for the rows *t* of the tasks in *container*, and its values."""
    if state == PENDING:  # written so that SQLite takes the index of pending tasks
        return f"t.queue = ? AND t.state = {PENDING}", (queue,)
    if state == ACTIVE:
        return "t.queue = ? AND t.seq IN (SELECT seq FROM pyasynq_lease WHERE queue = ?)", (
            queue,
            queue,
        )
    if state == AGGREGATING:
        return (
            f"t.queue = ? AND t.state = {AGGREGATING} AND t.group_name = ?",
            (queue, container.group),
        )
    return f"t.queue = ? AND t.state = ? AND t.{IS_WAITING}", (queue, state)


_GROUP_AND_SETS: Final = f"""t.seq IN (SELECT seq FROM pyasynq_task
    WHERE queue = ? AND state = {AGGREGATING} AND group_name = ?
    UNION ALL SELECT t.seq FROM pyasynq_set s JOIN pyasynq_task t ON t.set_id = s.id
    WHERE t.state = {STAGED} AND s.queue = ? AND s.group_name = ?)"""
"""A condition: the tasks of a group, also those in its aggregation sets."""


def _slice(
    container: Container, start: int, limit: int, tx: Transaction
) -> tuple[list[TaskRow], bool]:
    """Return tasks from number *start* on, and whether more follow.

    These are at most *limit* tasks, and end once they have `MAX_BYTES`.
    """
    queue = tx.queue_id(container.queue)
    where, values = in_container(container, queue, NUMBERS[container.state])
    order = "t.at, t.seq"
    if container.state is TaskState.AGGREGATING:  # those in sets come last
        where, values = _GROUP_AND_SETS, (queue, container.group) * 2
        order = "t.state, t.at, t.seq"
    sql = (
        f"SELECT {TASK_COLUMNS} FROM pyasynq_task t WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"
    )
    rows: list[TaskRow] = []
    left = MAX_BYTES
    for found in tx.execute(sql, (*values, limit + 1, start)):
        if len(rows) == limit or left <= 0:
            return rows, True
        row = TaskRow(*found)
        rows.append(row)
        left -= len(row.message)
    return rows, False


def _counts(tx: Transaction, queue: int | None) -> dict[str, int]:
    """Return the number of tasks in each state."""
    sql = f"""SELECT state, count(*) FROM pyasynq_task WHERE queue = ? AND {IS_WAITING}
        GROUP BY state"""
    counts = {state.value: 0 for state in TaskState}
    for state, count in tx.rows(sql, queue):
        counts[STATES[state].value] += count
    sql = f"SELECT count(*) FROM pyasynq_task WHERE queue = ? AND state = {PENDING}"
    ((counts[TaskState.PENDING],),) = tx.rows(sql, queue)
    sql = "SELECT count(*) FROM pyasynq_lease WHERE queue = ?"
    ((counts[TaskState.ACTIVE],),) = tx.rows(sql, queue)
    return counts


def _size(tx: Transaction, queue: int | None) -> int:
    """Return the bytes that a task of *queue* takes on average."""
    sql = f"""SELECT avg(length(message) + coalesce(length(result), 0) + length(id)) FROM
        (SELECT message, result, id FROM pyasynq_task WHERE queue = ? LIMIT {SAMPLES})"""
    ((size,),) = tx.rows(sql, queue)
    return int(size or 0) + ROW_BYTES
