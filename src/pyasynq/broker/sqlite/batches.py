"""Tasks that are created together, or not at all, and batches, which count theirs.

They are held in a state of their own until one transaction decides that all of them run, whatever
their queues are; then they are released in steps.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from pyasynq.broker.ports.batches import BatchRef, BatchRepair
from pyasynq.broker.sqlite.batch_cancelling import cancel, drop_members
from pyasynq.broker.sqlite.batch_members import end_if_over, pack_followers
from pyasynq.broker.sqlite.batch_records import (
    DISCARDED,
    FAILED,
    MOST_FAILED,
    RUNNING,
    STAGING,
    WAITING,
    find_record,
    release_members,
    release_tasks,
    run_failed,
)
from pyasynq.broker.sqlite.batch_repair import find_batches, forget, sweep_batch, touch_map
from pyasynq.broker.sqlite.creation import MAX_NEW, stage
from pyasynq.broker.sqlite.schema import HELD
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS, delete
from pyasynq.core.batch import BatchInfo, BatchPlan, member_id
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import instant
from pyasynq.core.policy import BATCH_IDLE_S, BATCH_STAGED_S, BATCH_SWEEP_S, MAX_BULK

SWEPT: Final = 10 * MAX_BULK
"""Members of one batch that a repair looks at."""

INSERT: Final = """INSERT INTO pyasynq_batch(queue, id, state, staged, changed)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (queue, id) DO UPDATE
    SET staged = excluded.staged, changed = excluded.changed"""


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

    async def start(self, batch: BatchRef, total: int, plan: BatchPlan) -> None:
        """Decide that the *total* staged tasks of *batch* are to run, and are counted."""
        await self._store.accept(partial(_start, batch, total, plan))

    async def read(self, queue: str, batch_id: str) -> BatchInfo | None:
        """Return a batch whose tasks are counted; None if there is no such batch."""
        found = await self._store.read(lambda tx: _read(tx, queue, "AND id = ?", batch_id))
        return found[0] if found else None

    async def read_all(self, queue: str, start: int, count: int) -> Sequence[BatchInfo]:
        """Return up to *count* batches of *queue*; see `BatchPort`."""
        rest = "ORDER BY ends, changed LIMIT ? OFFSET ?"
        return await self._store.read(lambda tx: _read(tx, queue, rest, count, start))

    async def failed_members(self, queue: str, batch_id: str) -> Sequence[str]:
        """Return the ids of the members that have failed, at most 10,000, in their order."""
        sql = f"""SELECT e.number FROM pyasynq_ended e JOIN pyasynq_batch b ON b.seq = e.batch
            WHERE b.queue = ? AND b.id = ? AND e.outcome = {FAILED}
            ORDER BY e.number LIMIT {MOST_FAILED}"""
        rows = await self._store.read(lambda tx: tx.rows(sql, tx.queue_id(queue), batch_id))
        return [member_id(batch_id, number) for (number,) in rows]

    async def outputs(self, queue: str, batch_id: str) -> dict[int, bytes] | None:
        """Return what members of a map have reported, by number; None if there is no such map."""

        def read(tx: Transaction) -> dict[int, bytes] | None:
            record = find_record(tx, tx.queue_id(queue), batch_id)
            if record is None or record.bytes is None:
                return None
            sql = "SELECT number, output FROM pyasynq_ended WHERE batch = ? AND output IS NOT NULL"
            return dict(tx.rows(sql, record.seq))

        return await self._store.read(read)

    async def retry(self, queue: str, batch_id: str) -> bool:
        """Run the failed members of a batch again; False if it has not failed, or is a map."""
        return await self._store.write(partial(_retry, queue, batch_id))

    async def cancel(
        self, queue: str, batch_id: str, *, times: int | None = None
    ) -> Sequence[str] | None:
        """Delete the members that wait, in steps; return the ids of those that run."""
        del times  # a map begins in the transaction that starts its step
        numbers = await self._store.write(partial(cancel, queue, batch_id))
        if numbers is None:
            return None
        running: list[str] = []
        for first in range(0, numbers, MAX_BULK):
            running += await self._store.write(partial(drop_members, queue, batch_id, first))
            await asyncio.sleep(0)
        return running

    async def is_cancelled(self, queue: str, batch_id: str) -> bool:
        """Return whether a batch is cancelled, so that its members must not begin."""

        def read(tx: Transaction) -> bool:
            record = find_record(tx, tx.queue_id(queue), batch_id)
            return record is not None and bool(record.cancelled)

        return await self._store.read(read)

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
        self,
        queue: str,
        *,
        idle_s: int = BATCH_IDLE_S,
        swept_s: int = BATCH_SWEEP_S,
        staged_s: int = BATCH_STAGED_S,
    ) -> BatchRepair:
        """Go on with up to 100 batches of *queue* whose clients have gone."""
        released = discarded = noticed = 0
        for found in await self._store.read(partial(find_batches, queue, idle_s)):
            batch = BatchRef(queue=queue, id=found.id, home=queue)
            if found.state == RUNNING and found.is_held:
                released += await self._release_all(batch)
            elif found.state == RUNNING:
                if found.idle_s >= swept_s:
                    noticed += await self._sweep(batch)
            elif found.flow is not None:
                await self._look_at_flow(batch, staged_s)
            elif found.state in {STAGING, DISCARDED}:
                if found.idle_s >= staged_s:
                    discarded += await self.discard(batch)
            else:
                await self._forget(batch)
        return BatchRepair(released=released, discarded=discarded, noticed=noticed)

    async def _release_all(self, batch: BatchRef) -> int:
        released = 0
        while more := await self.release(batch):
            released += more
            await asyncio.sleep(0)
        return released

    async def _look_at_flow(self, batch: BatchRef, staged_s: int) -> None:
        """Delete a map that its flow no longer needs; a flow may come some time after its maps."""
        if await self._store.write(partial(touch_map, batch, staged_s)):
            return
        await self.discard(batch)
        await self._forget(batch)

    async def _sweep(self, batch: BatchRef) -> int:
        """Count members that were ended by hand; look at up to `SWEPT` of them."""
        noticed = 0
        for _ in range(0, SWEPT, MAX_BULK):
            some, more = await self._store.write(partial(sweep_batch, batch))
            noticed += some
            if not more:
                break
            await asyncio.sleep(0)
        return noticed

    async def _forget(self, batch: BatchRef) -> None:
        """Delete a batch that is over, in steps."""
        while True:
            if await self._store.write(partial(forget, batch)) < MAX_BULK:
                return
            await asyncio.sleep(0)


def _start(batch: BatchRef, total: int, plan: BatchPlan, tx: Transaction) -> None:
    queue = tx.register(batch.queue)
    if find_record(tx, queue, batch.id) is not None:
        return  # the caller did not get the answer
    if not total:
        row = (queue, batch.id, STAGING, 0, tx.now_us)
        tx.execute(INSERT, row)
    of = plan.parent
    sql = f"""UPDATE pyasynq_batch SET state = ?, changed = ?, total = staged, open = staged,
        failed = 0, numbers = staged, swept = 0, made = ?, kept = ?, followers = ?, bytes = ?,
        home = ?, flow = ?, node = ?
        WHERE queue = ? AND id = ? AND state = '{STAGING}' AND staged = ?"""
    values = (
        RUNNING if of is None else WAITING,
        *(tx.now_us, tx.now_us, plan.kept_s * MICROS, pack_followers(plan)),
        0 if plan.keeps_results else None,
        *((None, None, None) if of is None else (of.queue, of.id, of.node)),
    )
    if not tx.execute(sql, (*values, queue, batch.id, total)).rowcount:
        raise _gone(batch)
    end_if_over(tx, batch.queue, batch.id)


def _retry(name: str, batch_id: str, tx: Transaction) -> bool:
    record = find_record(tx, tx.queue_id(name), batch_id)
    if record is None or record.state != "failed" or record.flow is not None:
        return False
    run_failed(tx, record, record.times + 1)
    release_members(tx, name, record, MAX_BULK)
    end_if_over(tx, name, batch_id)
    return True


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
    tx.execute(INSERT, row)


def _read(tx: Transaction, queue: str, rest: str, *values: object) -> list[BatchInfo]:
    """Return batches that count their members; *rest* is the end of the query."""
    sql = f"""SELECT id, state, total, open, failed, made, ended, cancelled
        FROM pyasynq_batch WHERE queue = ? AND open IS NOT NULL {rest}"""
    return [
        BatchInfo(
            id=batch_id,
            queue=queue,
            state="cancelled" if cancelled else state,
            total=total,
            ended=total - left,
            failed=failed,
            created_at=instant(made / MICROS),
            ended_at=None if ended is None else instant(ended / MICROS),
        )
        for batch_id, state, total, left, failed, made, ended, cancelled in tx.rows(
            sql, tx.queue_id(queue), *values
        )
    ]


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
    record = find_record(tx, queue, batch.id)
    if record is None:
        count = release_tasks(tx, queue, batch.queue, batch.id, MAX_BULK)
    else:
        count = release_members(tx, batch.queue, record, MAX_BULK)
    _note_change(tx, queue, batch, is_last=count < MAX_BULK)
    end_if_over(tx, batch.queue, batch.id)
    return count


def _discard(batch: BatchRef, tx: Transaction) -> int:
    """Delete up to `MAX_BULK` held tasks; return how many these were, or -1 if they are to run."""
    queue = tx.queue_id(batch.queue)
    if queue is None:
        return 0
    if _state(tx, queue, batch) not in {None, STAGING, WAITING, DISCARDED}:
        return -1
    sql = f"""SELECT seq, id, message FROM pyasynq_task
        WHERE queue = ? AND state = {HELD} AND set_id = ? LIMIT ?"""
    rows = tx.rows(sql, queue, batch.id, MAX_BULK)
    delete(tx, queue, rows)
    if len(rows) < MAX_BULK:
        sql = "DELETE FROM pyasynq_batch WHERE queue = ? AND id = ?"
        tx.execute(sql, (queue, batch.id))
    else:
        sql = "UPDATE pyasynq_batch SET state = ?, changed = ? WHERE queue = ? AND id = ?"
        tx.execute(sql, (DISCARDED, tx.now_us, queue, batch.id))
    return len(rows)


def _note_change(tx: Transaction, queue: int, batch: BatchRef, *, is_last: bool) -> None:
    """Delete a record that counts no members after its last change, else note the time."""
    if is_last and find_record(tx, queue, batch.id) is None:
        tx.execute("DELETE FROM pyasynq_batch WHERE queue = ? AND id = ?", (queue, batch.id))
    else:
        sql = "UPDATE pyasynq_batch SET changed = ? WHERE queue = ? AND id = ?"
        tx.execute(sql, (tx.now_us, queue, batch.id))


def _state(tx: Transaction, queue: int, batch: BatchRef) -> str | None:
    sql = "SELECT state FROM pyasynq_batch WHERE queue = ? AND id = ?"
    found = tx.row(sql, queue, batch.id)
    return None if found is None else found[0]


def _gone(batch: BatchRef) -> BrokerError:
    minutes = BATCH_STAGED_S // 60
    return BrokerError(
        f"SQLite: the tasks that were to be created together in {batch.queue!r} are gone: the "
        f"queue was deleted, or nothing was added for {minutes} minutes; none of them runs"
    )
