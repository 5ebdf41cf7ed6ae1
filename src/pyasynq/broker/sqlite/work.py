"""Take tasks, extend their leases, and write their verdicts."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec

from pyasynq.broker.ports.creation import NewTask
from pyasynq.broker.ports.work import DequeueResult, Lease
from pyasynq.broker.sqlite.batch_members import reserve_members
from pyasynq.broker.sqlite.creation import MAX_NEW, create
from pyasynq.broker.sqlite.reports import receive
from pyasynq.broker.sqlite.schema import ACTIVE, ARCHIVED, COMPLETED, PENDING, RETRY
from pyasynq.broker.sqlite.store import Row, Store, Transaction, marks
from pyasynq.broker.sqlite.tasks import (
    FORGET_RUN_HISTORY,
    LEASE_COLUMNS,
    MICROS,
    count_runs,
    delete_rows,
    read_attempts,
    read_lease,
    trim_archive,
    unlock,
)
from pyasynq.broker.sqlite.wake import ended_topic, pending_topic, wait_for
from pyasynq.core.attempts import AttemptRecord
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import encode, unix_s
from pyasynq.core.policy import MAX_BYTES, MAX_SHARES, MAX_TASKS
from pyasynq.core.report import Entry, Report
from pyasynq.core.verdict import Archive, Complete, Done, Requeue, Retry, Verdict
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

WAIT_S: Final = 2.0
"""Longest wait on an idle queue."""

T = TypeVar("T")
Settled = tuple[Lease, Verdict]


class SqliteWork:
    """The work port."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        """Take up to the given number of tasks from each queue; see `WorkPort`."""
        asked = [
            (queue, min(count - start, MAX_TASKS))
            for queue, count in counts.items()
            for start in range(0, count, MAX_TASKS)
        ]
        results = [
            DequeueResult(queue=queue, owner=f"{owner}.{n}") for n, (queue, _) in enumerate(asked)
        ]
        max_bytes = MAX_BYTES // min(max(len(asked), 1), MAX_SHARES)
        try:
            # Look first: an idle worker must not keep others from writing.
            ready = await self._store.read(partial(_look, results))
            for n, (queue, count) in enumerate(asked):
                if queue in ready:
                    call = partial(self._take, results[n], count, max_bytes, lease_s)
                    results[n] = await self._store.write(call)
        except BrokerError as error:
            for result in results:
                if not (result.leases or result.poison or result.empty):
                    result.error = error
        return results

    def _take(
        self, asked: DequeueResult, count: int, max_bytes: int, lease_s: float, tx: Transaction
    ) -> DequeueResult:
        """Return a new result: *asked* stays as it is if the commit fails."""
        name, owner = asked.queue, asked.owner
        queue = _unpaused_queue(tx, name)
        rows = _first_pending(tx, queue, count, max_bytes)
        _lease(tx, queue, rows, owner=owner, lease_s=lease_s)
        expires_at = self._store.clock.monotonic() + lease_s
        now_s = tx.now_us / MICROS
        read = [read_lease(row, name, owner, now_s, expires_at) for row in rows]
        return DequeueResult(
            queue=name,
            owner=owner,
            leases=[lease for lease, is_sound in read if is_sound],
            poison=[lease for lease, is_sound in read if not is_sound],
            empty=len(rows) < count and sum(len(row[2]) for row in rows) < max_bytes,
            waited_s=max(0.0, now_s - rows[0][7] / MICROS) if rows else None,
        )

    async def undo_dequeue(self, queue: str, owner: str) -> int:
        """Put back the tasks that *owner* took in a call whose answer was lost; return how many."""

        def undo(tx: Transaction) -> int:
            rows = tx.rows("SELECT seq FROM pyasynq_lease WHERE owner = ?", owner)
            _put_back(tx, queue, [seq for (seq,) in rows])
            return len(rows)

        return await self._store.write(undo)

    async def wait(self, queue: str) -> bool:
        """Return True once *queue* may have a task, or False after `WAIT_S`."""
        with self._store.wake.listening(pending_topic(queue)) as changed:
            if await self._store.read(lambda tx: _has_pending(tx, queue)):
                return True
            return await wait_for(changed, WAIT_S)

    async def settle(self, settled: Sequence[Settled]) -> list[bool | BrokerError]:
        """Write verdicts; return for each True (written), False (lease lost) or an error."""
        weights = [1 + len(verdict.then) for _, verdict in settled]
        return await self._in_batches(settled, lambda some: partial(_settle, some), weights)

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        """Extend *leases* in the file and in place; return for each what `settle` returns."""
        expires_at = self._store.clock.monotonic() + lease_s
        answers = await self._in_batches(leases, lambda some: partial(_extend, some, lease_s))
        for lease, answer in zip(leases, answers, strict=True):
            if answer is True:
                lease.expires_at = expires_at
        return answers

    async def mark_started(self, lease: Lease) -> bool:
        """Note that the handler of a task that has crashed workers starts; False if lease lost."""
        return await self._update(lease, "unstarted = ?", None)

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        """Store *result* beside the task; False if the lease is lost."""
        return await self._update(lease, "result = ?", result)

    async def reserve_members(self, queue: str, batch_id: str, count: int) -> int | None:
        """Return the first of *count* numbers for new members; None if the batch takes none."""
        return await self._store.write(lambda tx: reserve_members(tx, queue, batch_id, count))

    async def _update(self, lease: Lease, assignment: str, value: object) -> bool:
        def update(tx: Transaction) -> bool:
            held = _held(tx, [lease])[0]
            if held:
                sql = f"UPDATE pyasynq_task SET {assignment} WHERE seq = ?"
                tx.execute(sql, (value, lease.handle))
            return held

        return await self._store.write(update)

    async def _in_batches(
        self,
        items: Sequence[T],
        change: Callable[[Sequence[T]], Callable[[Transaction], list[bool]]],
        weights: Sequence[int] = (),
    ) -> list[bool | BrokerError]:
        """Write *items*, a few in each transaction: those of a weight of `MAX_TASKS` together."""
        answers: list[bool | BrokerError] = []
        while len(answers) < len(items):
            start = len(answers)
            some = items[start : start + _count(weights, start)]
            try:
                answers += await self._store.write(change(some))
            except BrokerError as error:
                answers += [error] * len(some)
            if len(answers) < len(items):
                await asyncio.sleep(0)
        return answers


def _count(weights: Sequence[int], start: int) -> int:
    """Return how many items from *start* on weigh `MAX_TASKS`, but at least one."""
    total = 0
    for count, weight in enumerate(weights[start : start + MAX_TASKS]):
        total += weight
        if total > MAX_TASKS:
            return max(count, 1)
    return MAX_TASKS


def _look(results: Sequence[DequeueResult], tx: Transaction) -> set[str]:
    """Return the queues that give tasks, and say of the others why they do not."""
    ready = set[str]()
    for result in results:
        sql = "SELECT id, paused_s IS NOT NULL FROM pyasynq_queue WHERE name = ?"
        found = tx.row(sql, result.queue)
        result.paused = found is not None and bool(found[1])
        if found is None or result.paused or not _has_pending(tx, result.queue):
            result.empty = True
        else:
            ready.add(result.queue)
    return ready


def _unpaused_queue(tx: Transaction, name: str) -> int | None:
    """Return the number of the queue *name*; None if it is not known, or was paused meanwhile."""
    sql = "SELECT id FROM pyasynq_queue WHERE name = ? AND paused_s IS NULL"
    found = tx.row(sql, name)
    return None if found is None else found[0]


def _has_pending(tx: Transaction, queue: str) -> bool:
    sql = f"SELECT 1 FROM pyasynq_task WHERE queue = ? AND state = {PENDING} LIMIT 1"
    return tx.row(sql, tx.queue_id(queue)) is not None


def _first_pending(tx: Transaction, queue: int | None, count: int, max_bytes: int) -> list[Row]:
    """Return the next tasks to run, until their messages have *max_bytes*."""
    sql = f"""SELECT {LEASE_COLUMNS}, result IS NULL, at FROM pyasynq_task
        WHERE queue = ? AND state = {PENDING} ORDER BY at LIMIT ?"""
    rows: list[Row] = []
    for row in tx.execute(sql, (queue, count)):
        rows.append(row)
        max_bytes -= len(row[2])
        if max_bytes <= 0:
            break
    return rows


def _lease(
    tx: Transaction, queue: int | None, rows: Sequence[Row], *, owner: str, lease_s: float
) -> None:
    """Make tasks active, held by *owner*; *rows* are those of `_first_pending`."""
    seqs = [row[0] for row in rows]
    rest = "" if all(row[6] for row in rows) else ", result = NULL"
    sql = f"UPDATE pyasynq_task SET state = {ACTIVE}{rest} WHERE seq IN ({marks(len(seqs))})"
    tx.execute(sql, seqs)
    ends = tx.now_us + int(lease_s * MICROS)
    leases = [(seq, queue, owner, ends) for seq in seqs]
    tx.executemany("INSERT INTO pyasynq_lease VALUES (?, ?, ?, ?)", leases)
    if crashed := [(owner, row[0]) for row in rows if row[3]]:
        # The token of a dead worker stays, so that a task is excused only once.
        sql = "UPDATE pyasynq_task SET unstarted = ? WHERE seq = ? AND unstarted IS NULL"
        tx.executemany(sql, crashed)


def _put_back(tx: Transaction, queue: str, seqs: Sequence[int]) -> None:
    """Make tasks pending again; each still has its place."""
    if not seqs:
        return
    tx.executemany("DELETE FROM pyasynq_lease WHERE seq = ?", [(seq,) for seq in seqs])
    sql = f"UPDATE pyasynq_task SET state = {PENDING} WHERE seq = ?"
    tx.executemany(sql, [(seq,) for seq in seqs])
    tx.changed.add(pending_topic(queue))


def _held(tx: Transaction, leases: Sequence[Lease]) -> list[bool]:
    """Return for each lease whether it holds its task; a recoverer's does if its time is over."""
    sql = f"""SELECT l.seq, l.owner, l.ends, t.id FROM pyasynq_lease l JOIN pyasynq_task t
        ON t.seq = l.seq WHERE l.seq IN ({marks(len(leases))})"""
    stored = {
        seq: (owner, ends, task_id)
        for seq, owner, ends, task_id in tx.execute(sql, [lease.handle for lease in leases])
    }
    held: list[bool] = []
    for lease in leases:
        owner, ends, task_id = stored.get(lease.handle, (None, 0, ""))
        by_owner = owner == lease.owner
        by_time = not lease.owner and owner is not None and ends <= tx.now_us
        held.append(task_id == lease.id and (by_owner or by_time))
        if held[-1]:
            del stored[lease.handle]  # a task that is named twice is held once
    return held


def _extend(leases: Sequence[Lease], lease_s: float, tx: Transaction) -> list[bool]:
    held = _held(tx, leases)
    ends = tx.now_us + int(lease_s * MICROS)
    rows = [(ends, lease.handle) for lease, is_ours in zip(leases, held, strict=True) if is_ours]
    tx.executemany("UPDATE pyasynq_lease SET ends = ? WHERE seq = ?", rows)
    return held


def _settle(settled: Sequence[Settled], tx: Transaction) -> list[bool]:
    held = _held(tx, [lease for lease, _ in settled])
    ours = [one for one, is_ours in zip(settled, held, strict=True) if is_ours]
    if ours:
        seqs = [lease.handle for lease, _ in ours]
        tx.execute(f"DELETE FROM pyasynq_lease WHERE seq IN ({marks(len(seqs))})", seqs)
    by_queue: dict[str, list[Settled]] = {}
    for one in ours:
        by_queue.setdefault(one[0].queue, []).append(one)
    for name, some in by_queue.items():
        _settle_queue(tx, tx.register(name), name, some)
    _carry_out(tx, [entry for _, verdict in ours for entry in verdict.then])
    return held


def _carry_out(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Create the tasks that follow, and take reports to their records."""
    _create_followers(tx, [entry for entry in entries if not isinstance(entry, Report)])
    for entry in entries:
        if isinstance(entry, Report):
            receive(tx, entry)


def _create_followers(tx: Transaction, plans: Sequence[Plan]) -> None:
    for start in range(0, len(plans), MAX_NEW):
        for refusal in create(tx, [NewTask(plan) for plan in plans[start : start + MAX_NEW]]):
            if refusal is not None:
                log.warning("a task follows another one, but was not created: %s", refusal)


def _settle_queue(tx: Transaction, queue: int, name: str, settled: Sequence[Settled]) -> None:
    _end(tx, queue, [lease for lease, verdict in settled if isinstance(verdict, Done)])
    requeued = [lease.handle for lease, verdict in settled if isinstance(verdict, Requeue)]
    _put_back(tx, name, requeued)
    archived = [lease for lease, verdict in settled if isinstance(verdict, Archive)]
    if archived:
        trim_archive(tx, queue, incoming=len(archived))
    processed = failed = 0
    for lease, verdict in settled:
        match verdict:
            case Done():
                processed += 1
            case Complete():
                _complete(tx, queue, lease, verdict)
                processed += 1
            case Retry():
                _retry(tx, lease, verdict)
                failed += verdict.failed
            case Archive():
                _archive(tx, lease, verdict)
                failed += 1
            case Requeue():
                pass
    count_runs(tx, queue, processed=processed + failed, failed=failed)


def _end(tx: Transaction, queue: int, leases: Sequence[Lease]) -> None:
    """Delete tasks that are done, and release their locks."""
    delete_rows(tx, [lease.handle for lease in leases])
    unlock(tx, queue, [(lease.id, lease.message.unique_key) for lease in leases])


def _complete(tx: Transaction, queue: int, lease: Lease, verdict: Complete) -> None:
    sql = f"""UPDATE pyasynq_task SET state = {COMPLETED}, at = ?, message = ?,
        {FORGET_RUN_HISTORY} WHERE seq = ?"""
    expires_us = unix_s(verdict.expires_at) * MICROS
    tx.execute(sql, (expires_us, encode(verdict.message), lease.handle))
    unlock(tx, queue, [(lease.id, lease.message.unique_key)])
    tx.changed.add(ended_topic(lease.queue, lease.id))


def _retry(tx: Transaction, lease: Lease, verdict: Retry) -> None:
    message = verdict.message
    known = verdict.crashes or verdict.unknown
    sql = f"""UPDATE pyasynq_task SET state = {RETRY}, at = ?, message = ?, crashes = ?,
        unknown_since_s = CASE WHEN ? THEN coalesce(unknown_since_s, ?) END, retried = ?,
        unstarted = NULL WHERE seq = ?"""
    values = (
        unix_s(verdict.at) * MICROS,
        encode(message),
        verdict.crashes or None,
        verdict.unknown,
        tx.now_s,
        message.retried if known else None,
        lease.handle,
    )
    tx.execute(sql, values)
    _keep_attempt(tx, lease, verdict.attempt)


def _archive(tx: Transaction, lease: Lease, verdict: Archive) -> None:
    message = None if verdict.message is None else encode(verdict.message)
    sql = f"""UPDATE pyasynq_task SET state = {ARCHIVED}, at = ?, message = coalesce(?, message),
        {FORGET_RUN_HISTORY} WHERE seq = ?"""
    tx.execute(sql, (tx.now_us, message, lease.handle))
    _keep_attempt(tx, lease, verdict.attempt)
    tx.changed.add(ended_topic(lease.queue, lease.id))


def _keep_attempt(tx: Transaction, lease: Lease, attempt: AttemptRecord | None) -> None:
    if attempt is None:
        return
    ((stored,),) = tx.rows("SELECT attempts FROM pyasynq_task WHERE seq = ?", lease.handle)
    attempts = read_attempts(stored) | {attempt.slot: attempt.data}
    sql = "UPDATE pyasynq_task SET attempts = ? WHERE seq = ?"
    tx.execute(sql, (msgspec.msgpack.encode(attempts), lease.handle))
