"""Tasks that are created together, or not at all.

They are held in a state of their own until one transaction decides that all of them run, whatever
their queues are; then they are released in steps.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from pyasynq.broker.ports.batches import BatchRef, BatchRepair
from pyasynq.broker.sqlite.creation import MAX_NEW, stage
from pyasynq.broker.sqlite.schema import AGGREGATING, HELD, SCHEDULED
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS, append, delete
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import BATCH_IDLE_S, BATCH_STAGED_S, MAX_BULK

FOUND: Final = 100
"""Batches that one look finds."""

STAGING: Final = "staging"
RUNNING: Final = "running"
DISCARDED: Final = "discarded"


class SqliteBatches:
    """The port for batches."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def stage(self, batch: BatchRef, plans: Sequence[Plan], *, first: int) -> None:
        """Create tasks that nobody takes before they are released; see `BatchPort`."""
        for start in range(0, max(len(plans), 1), MAX_NEW):
            some = plans[start : start + MAX_NEW]
            await self._store.accept(partial(_stage, batch, some, first + start))
            await asyncio.sleep(0)

    async def commit(self, totals: Sequence[tuple[BatchRef, int]]) -> None:
        """Decide that the staged tasks of all these queues are to run."""
        await self._store.accept(partial(_commit, totals))

    async def release(self, batch: BatchRef) -> int:
        """Give up to `MAX_BULK` staged tasks to the workers; return how many these were."""
        return await self._store.write(partial(_release, batch))

    async def discard(self, batch: BatchRef) -> bool:
        """Delete the staged tasks of a queue, in steps; False if they are to run."""
        while True:
            deleted = await self._store.write(partial(_discard, batch))
            if deleted < MAX_BULK:
                return deleted >= 0
            await asyncio.sleep(0)

    async def repair(
        self, queue: str, *, idle_s: int = BATCH_IDLE_S, staged_s: int = BATCH_STAGED_S
    ) -> BatchRepair:
        """Go on with up to 100 batches of *queue* whose clients have gone."""
        released = discarded = 0
        for batch_id, state, unchanged_s in await self._store.read(partial(_find, queue, idle_s)):
            batch = BatchRef(queue=queue, id=batch_id, home=queue)
            if state == RUNNING:
                while more := await self.release(batch):
                    released += more
                    await asyncio.sleep(0)
            elif unchanged_s >= staged_s:
                discarded += await self.discard(batch)
        return BatchRepair(released=released, discarded=discarded)


def _stage(batch: BatchRef, plans: Sequence[Plan], first: int, tx: Transaction) -> None:
    queue = tx.register(batch.queue)
    sql = "SELECT state, staged FROM pyasynq_batch WHERE queue = ? AND id = ?"
    state, known = tx.row(sql, queue, batch.id) or (STAGING, 0)
    if plans and state == STAGING and known == first + len(plans):
        return  # the caller did not get the answer
    if state != STAGING or known != first:
        raise _gone(batch)
    stage(tx, plans, batch.id)
    row = (queue, batch.id, STAGING, first + len(plans), tx.now_us)
    tx.execute("INSERT OR REPLACE INTO pyasynq_batch VALUES (?, ?, ?, ?, ?)", row)


def _commit(totals: Sequence[tuple[BatchRef, int]], tx: Transaction) -> None:
    for batch, total in totals:
        sql = f"""UPDATE pyasynq_batch SET state = '{RUNNING}', changed = ?
            WHERE queue = ? AND id = ? AND state != '{DISCARDED}' AND staged = ?"""
        values = (tx.now_us, tx.queue_id(batch.queue), batch.id, total)
        if not tx.execute(sql, values).rowcount:
            raise _gone(batch)


def _release(batch: BatchRef, tx: Transaction) -> int:
    queue = tx.queue_id(batch.queue)
    if queue is None or _state(tx, queue, batch) != RUNNING:
        return 0
    sql = f"""SELECT seq, at, group_name FROM pyasynq_task
        WHERE queue = ? AND state = {HELD} AND set_id = ? ORDER BY seq LIMIT ?"""
    rows = tx.rows(sql, queue, batch.id, MAX_BULK)
    sql = f"UPDATE pyasynq_task SET state = {SCHEDULED}, set_id = NULL WHERE seq = ?"
    tx.executemany(sql, [(seq,) for seq, at, _ in rows if at])
    sql = f"UPDATE pyasynq_task SET state = {AGGREGATING}, at = ?, set_id = NULL WHERE seq = ?"
    tx.executemany(sql, [(tx.now_us, seq) for seq, at, group in rows if group and not at])
    ready = [seq for seq, at, group in rows if not (at or group)]
    append(tx, queue, batch.queue, ready, also=", set_id = NULL")
    _note_change(tx, queue, batch, is_last=len(rows) < MAX_BULK)
    return len(rows)


def _discard(batch: BatchRef, tx: Transaction) -> int:
    """Delete up to `MAX_BULK` held tasks; return how many these were, or -1 if they are to run."""
    queue = tx.queue_id(batch.queue)
    if queue is None:
        return 0
    if _state(tx, queue, batch) == RUNNING:
        return -1
    sql = f"""SELECT seq, id, message FROM pyasynq_task
        WHERE queue = ? AND state = {HELD} AND set_id = ? LIMIT ?"""
    rows = tx.rows(sql, queue, batch.id, MAX_BULK)
    delete(tx, queue, rows)
    sql = "UPDATE pyasynq_batch SET state = ? WHERE queue = ? AND id = ?"
    tx.execute(sql, (DISCARDED, queue, batch.id))
    _note_change(tx, queue, batch, is_last=len(rows) < MAX_BULK)
    return len(rows)


def _note_change(tx: Transaction, queue: int, batch: BatchRef, *, is_last: bool) -> None:
    """Delete the record of *batch* after its last change, else note the time."""
    if is_last:
        tx.execute("DELETE FROM pyasynq_batch WHERE queue = ? AND id = ?", (queue, batch.id))
    else:
        sql = "UPDATE pyasynq_batch SET changed = ? WHERE queue = ? AND id = ?"
        tx.execute(sql, (tx.now_us, queue, batch.id))


def _state(tx: Transaction, queue: int, batch: BatchRef) -> str | None:
    sql = "SELECT state FROM pyasynq_batch WHERE queue = ? AND id = ?"
    found = tx.row(sql, queue, batch.id)
    return None if found is None else found[0]


def _find(name: str, idle_s: int, tx: Transaction) -> list[tuple[str, str, float]]:
    """Return id, state and seconds since the last change of idle batches, the oldest first."""
    sql = f"""SELECT id, state, changed FROM pyasynq_batch WHERE queue = ? AND changed <= ?
        ORDER BY changed LIMIT {FOUND}"""
    longest_us = tx.now_us - idle_s * MICROS
    return [
        (batch_id, state, (tx.now_us - changed) / MICROS)
        for batch_id, state, changed in tx.rows(sql, tx.queue_id(name), longest_us)
    ]


def _gone(batch: BatchRef) -> BrokerError:
    minutes = BATCH_STAGED_S // 60
    return BrokerError(
        f"SQLite: the tasks that were to be created together in {batch.queue!r} are gone: the "
        f"queue was deleted, or nothing was added for {minutes} minutes; none of them runs"
    )
