"""Keep queues in order."""

from typing import Final

from pyasynq.broker.ports.upkeep import ForwardResult, Job, Look
from pyasynq.broker.ports.work import DequeueResult
from pyasynq.broker.sqlite.batch_members import forget_batch
from pyasynq.broker.sqlite.flows import delete_flows
from pyasynq.broker.sqlite.schema import (
    AGGREGATING,
    COMPLETED,
    IS_WAITING,
    RETRY,
    SCHEDULED,
    SCHEDULER,
    SERVER,
)
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import (
    LEASE_COLUMNS,
    MICROS,
    append,
    day_of,
    delete,
    delete_rows,
    read_lease,
    trim_archive,
)
from pyasynq.core.policy import ENDED_S, MAX_BYTES, MAX_TASKS, STATISTICS_S

RECOVERER = ""
"""The owner token of recoverers, which hold every task whose lease is over."""

KEEP_CANCELATIONS_S = 60
"""Seconds for which a cancelation is kept; servers look more often."""


FLOWS_AT_ONCE: Final = 10
"""Flows of a removed queue that one transaction deletes; each may have a thousand steps."""


class SqliteUpkeep:
    """The upkeep port."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def look(self, queue: str, *, server_id: str) -> Look:
        """Return which jobs of *queue* are due; every process looks, because reading locks nobody.

        What old tasks, flows and batches need is found out by the jobs themselves, which are always
        due.
        """
        del server_id
        return await self._store.read(lambda tx: _look(tx, queue))

    async def release(self, queue: str, *, server_id: str) -> None:
        """Return at once: no process holds the upkeep."""

    async def forward(self, queue: str) -> ForwardResult:
        """Move a batch of due tasks of *queue* to pending, or into their groups."""
        next_in_s = await self._store.read(lambda tx: _next_in_s(tx, queue))
        if next_in_s is None or next_in_s > 0:
            return ForwardResult(moved=0, more=False, next_in_s=next_in_s)

        def move(tx: Transaction) -> ForwardResult:
            moved = _forward(tx, queue)
            left_s = _next_in_s(tx, queue)
            return ForwardResult(moved=moved, more=left_s == 0, next_in_s=left_s)

        return await self._store.write(move)

    async def expired(self, queue: str) -> DequeueResult:
        """Return a batch of tasks whose lease has expired; a task without lease is not possible."""
        return await self._store.read(lambda tx: self._expired(tx, queue))

    def _expired(self, tx: Transaction, queue: str) -> DequeueResult:
        columns = ", ".join(f"t.{column}" for column in LEASE_COLUMNS.split(", "))
        sql = f"""SELECT {columns}, t.unstarted IS NULL OR t.unstarted != l.owner
            FROM pyasynq_lease l JOIN pyasynq_task t ON t.seq = l.seq
            WHERE l.queue = ? AND l.ends <= ? ORDER BY l.ends LIMIT ?"""
        result = DequeueResult(queue=queue)
        left, now_s, now = MAX_BYTES, tx.now_us / MICROS, self._store.clock.monotonic()
        for row in tx.rows(sql, tx.queue_id(queue), tx.now_us, MAX_TASKS):
            if left <= 0:
                break
            left -= len(row[2])
            lease, is_sound = read_lease(row, queue, RECOVERER, now_s, now)
            lease.unknown_s = None
            lease.started = bool(row[6])
            (result.leases if is_sound else result.poison).append(lease)
        return result

    async def end_leases(self, queue: str, server_id: str) -> int:
        """End the leases of a server that is known to be dead; return their number."""

        def end(tx: Transaction) -> int:
            rows = tx.rows(
                "SELECT seq, owner FROM pyasynq_lease WHERE queue = ?", tx.queue_id(queue)
            )
            dead = [(seq,) for seq, owner in rows if owner.rpartition("/")[0] == server_id]
            tx.executemany("UPDATE pyasynq_lease SET ends = 0 WHERE seq = ?", dead)
            return len(dead)

        return await self._store.write(end)

    async def trim(self, queue: str, *, limit: int) -> int:
        """Delete a batch of old tasks and of what else is over; return the number of tasks."""
        return await self._store.write(lambda tx: _trim(tx, queue, limit))


def _look(tx: Transaction, name: str) -> Look:
    queue = tx.queue_id(name)
    due = {Job.TRIM, Job.LOOK_AFTER, Job.REPAIR}
    if _next_in_s(tx, name) == 0:
        due.add(Job.FORWARD)
    for table, job in (("lease", Job.RECOVER), ("set", Job.RECLAIM)):
        sql = f"SELECT 1 FROM pyasynq_{table} WHERE queue = ? AND ends <= ? LIMIT 1"
        if tx.rows(sql, queue, tx.now_us):
            due.add(job)
    return Look(due=frozenset(due), next_in_s=_next_in_s(tx, name, after_us=tx.now_us))


def _next_in_s(tx: Transaction, name: str, *, after_us: int = -(2**63)) -> float | None:
    """Return the seconds until the next delayed task is due; 0 if it is, None without one.

    Tasks that are due at *after_us* or earlier are left out.
    """
    sql = f"""SELECT min(at) FROM pyasynq_task
        WHERE queue = ? AND state = ? AND {IS_WAITING} AND at > ?"""
    queue = tx.queue_id(name)
    times = [at for state in (SCHEDULED, RETRY) for (at,) in tx.rows(sql, queue, state, after_us)]
    times = [at for at in times if at is not None]
    return max(0, min(times) - tx.now_us) / MICROS if times else None


def _forward(tx: Transaction, name: str) -> int:
    queue = tx.register(name)
    sql = f"""SELECT at, seq, group_name FROM pyasynq_task
        WHERE queue = ? AND state = ? AND {IS_WAITING} AND at <= ? ORDER BY at, seq LIMIT ?"""
    due = [
        row
        for state in (SCHEDULED, RETRY)
        for row in tx.rows(sql, queue, state, tx.now_us, MAX_TASKS)
    ]
    due.sort(key=lambda row: row[:2])
    joining = [(tx.now_us, seq) for _, seq, group in due if group is not None]
    sql = f"UPDATE pyasynq_task SET state = {AGGREGATING}, at = ? WHERE seq = ?"
    tx.executemany(sql, joining)
    append(tx, queue, name, [seq for _, seq, group in due if group is None])
    return len(due)


def _trim(tx: Transaction, name: str, limit: int) -> int:
    _delete_outdated(tx, limit)
    queue = tx.queue_id(name)
    if queue is None:
        return 0
    sql = f"""SELECT seq, id, message FROM pyasynq_task
        WHERE queue = ? AND state = ? AND {IS_WAITING} AND at <= ? ORDER BY at LIMIT ?"""
    completed = tx.rows(sql, queue, COMPLETED, tx.now_us, limit)
    delete(tx, queue, completed)
    return len(completed) + trim_archive(tx, queue)


def _delete_outdated(tx: Transaction, limit: int) -> None:
    """Delete a batch of what is over, and of what removed queues have left."""
    for table, key in (("lock", "name"), ("receipt", "row")):
        sql = f"SELECT queue, {key} FROM pyasynq_{table} WHERE ends <= ? LIMIT ?"
        rows = tx.rows(sql, tx.now_us, limit)
        tx.executemany(f"DELETE FROM pyasynq_{table} WHERE queue = ? AND {key} = ?", rows)
    for table in ("tick", "event", "entry", "pause"):
        tx.execute(f"DELETE FROM pyasynq_{table} WHERE ends <= ?", (tx.now_us,))
    for kind, kept_s in ((SERVER, 0), (SCHEDULER, ENDED_S)):
        sql = "DELETE FROM pyasynq_report WHERE kind = ? AND ends <= ?"
        tx.execute(sql, (kind, tx.now_us - kept_s * MICROS))
    oldest_us = tx.now_us - KEEP_CANCELATIONS_S * MICROS
    tx.execute("DELETE FROM pyasynq_cancel WHERE at < ?", (oldest_us,))
    tx.execute("DELETE FROM pyasynq_day WHERE day < ?", (day_of(tx.now_s - STATISTICS_S),))
    removed = tx.row("SELECT id FROM pyasynq_queue WHERE name IS NULL LIMIT 1")
    if removed is not None:
        empty_removed(tx, removed[0], limit)


def empty_removed(tx: Transaction, queue: int, limit: int) -> int:
    """Delete up to *limit* tasks of a removed queue, at the end also the rest; return how many.

    Flows count as well, and so do rows of batches.
    """
    rows = tx.rows("SELECT seq FROM pyasynq_task WHERE queue = ? LIMIT ?", queue, limit)
    delete_rows(tx, [seq for (seq,) in rows])
    if len(rows) == limit:
        return limit
    if flows := delete_flows(tx, queue, FLOWS_AT_ONCE):
        return len(rows) + flows
    batch = tx.row("SELECT seq FROM pyasynq_batch WHERE queue = ? LIMIT 1", queue)
    if batch is not None:
        return len(rows) + max(forget_batch(tx, batch[0], limit), 1)
    for table in ("day", "lock", "set", "receipt", "tick", "lease", "runs"):
        tx.execute(f"DELETE FROM pyasynq_{table} WHERE queue = ?", (queue,))
    tx.execute("DELETE FROM pyasynq_queue WHERE id = ?", (queue,))
    return len(rows)
