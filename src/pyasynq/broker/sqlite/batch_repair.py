"""Find batches whose clients have gone, and what follows for each of them."""

from typing import Final, NamedTuple

from pyasynq.broker.ports.batches import BatchRef
from pyasynq.broker.sqlite.batch_members import count_member, end_if_possible, forget_batch
from pyasynq.broker.sqlite.batch_records import RUNNING, WAITING, find_record
from pyasynq.broker.sqlite.schema import ARCHIVED, COMPLETED, HELD
from pyasynq.broker.sqlite.store import Transaction
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.batch import is_needed, member_id
from pyasynq.core.policy import MAP_LOOK_S, MAX_BULK
from pyasynq.core.report import Place, Report, Result

FOUND: Final = 100
"""Batches that one look finds."""


class FoundBatch(NamedTuple):
    """A batch that nothing has changed for *idle_s* seconds, or that is over."""

    id: str
    state: str
    idle_s: float
    is_held: bool
    flow: str | None


def find_batches(name: str, idle_s: int, tx: Transaction) -> list[FoundBatch]:
    """Return batches without a change for *idle_s* seconds, the oldest first, and those over."""
    sql = f"""SELECT id, state, changed, flow, releases OR EXISTS (SELECT 1 FROM pyasynq_task t
        WHERE t.queue = b.queue AND t.set_id = b.id AND t.state = {HELD})
        FROM pyasynq_batch b WHERE queue = ? AND coalesce(ends, changed + ?) <= ?
        ORDER BY changed LIMIT {FOUND}"""
    rows = tx.rows(sql, tx.queue_id(name), idle_s * MICROS, tx.now_us)
    return [
        FoundBatch(batch_id, state, (tx.now_us - changed) / MICROS, bool(is_held), flow)
        for batch_id, state, changed, flow, is_held in rows
    ]


def touch_map(batch: BatchRef, staged_s: int, tx: Transaction) -> bool:
    """Note that a map was looked at; False if its flow does not need it."""
    record = find_record(tx, tx.queue_id(batch.queue), batch.id)
    if record is None:
        return True
    sql = """SELECT f.state, instr(f.spec, ?) = 0 FROM pyasynq_flow f
        JOIN pyasynq_queue q ON q.id = f.queue
        WHERE q.name = ? AND f.id = ? AND (f.ends = 0 OR f.ends > ?)"""
    flow = tx.row(sql, record.id.encode(), record.home, record.flow, tx.now_us)
    is_held = record.state == WAITING
    if flow is None:
        sql = "SELECT 1 FROM pyasynq_batch WHERE seq = ? AND changed > ?"
        return tx.row(sql, record.seq, tx.now_us - staged_s * MICROS) is not None
    if not is_needed(flow[0], is_held=is_held, is_others=is_held and bool(flow[1])):
        return False
    sql = "UPDATE pyasynq_batch SET changed = ?, ends = ? WHERE seq = ?"
    ends = None if is_held else tx.now_us + MAP_LOOK_S * MICROS
    tx.execute(sql, (tx.now_us, ends, record.seq))
    return True


def sweep_batch(batch: BatchRef, tx: Transaction) -> tuple[int, bool]:
    """Count members that were ended by hand; return how many, and whether more are to be seen."""
    queue = tx.queue_id(batch.queue)
    record = find_record(tx, queue, batch.id)
    if record is None or record.state != RUNNING:
        return 0, False
    ((first,),) = tx.rows("SELECT swept FROM pyasynq_batch WHERE seq = ?", record.seq)
    stop = min(first + MAX_BULK, record.numbers)
    sql = "SELECT number FROM pyasynq_ended WHERE batch = ? AND number >= ? AND number < ?"
    ended = {number for (number,) in tx.rows(sql, record.seq, first, stop)}
    noticed = 0
    for number in (number for number in range(first, stop) if number not in ended):
        sql = "SELECT state FROM pyasynq_task WHERE queue = ? AND id = ?"
        task = tx.row(sql, queue, member_id(batch.id, number))
        if task is None or task[0] in {COMPLETED, ARCHIVED}:
            is_success = task is not None and task[0] == COMPLETED
            result: Result = "succeeded" if is_success else "failed"
            place = Place(kind="batch", queue=batch.queue, id=batch.id, member=number)
            noticed += count_member(tx, Report(place=place, result=result))
    is_over = stop == record.numbers
    sql = """UPDATE pyasynq_batch
        SET swept = ?, changed = CASE WHEN ? THEN ? ELSE changed END WHERE seq = ?"""
    tx.execute(sql, (0 if is_over else stop, is_over, tx.now_us, record.seq))
    end_if_possible(tx, batch.queue, batch.id)
    return noticed, not is_over


def forget(batch: BatchRef, tx: Transaction) -> int:
    """Delete up to `MAX_BULK` rows of a batch, at the end also its record; return how many."""
    sql = "SELECT seq FROM pyasynq_batch WHERE queue = ? AND id = ?"
    found = tx.row(sql, tx.queue_id(batch.queue), batch.id)
    return 0 if found is None else forget_batch(tx, found[0], MAX_BULK)
