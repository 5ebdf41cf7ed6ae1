"""Cancel batches: delete the members that wait."""

from typing import Final

from pyasynq.broker.sqlite.batch_members import end_if_over
from pyasynq.broker.sqlite.batch_records import (
    AGAIN,
    FAILED,
    RUNNING,
    SUCCEEDED,
    Record,
    find_record,
)
from pyasynq.broker.sqlite.schema import ACTIVE, HELD, PENDING, RETRY, SCHEDULED
from pyasynq.broker.sqlite.store import Row, Transaction, marks
from pyasynq.broker.sqlite.tasks import delete
from pyasynq.core.batch import member_id
from pyasynq.core.policy import MAX_BULK

DROPPED: Final = (HELD, PENDING, SCHEDULED, RETRY)
"""States of members that are deleted when their batch is cancelled."""


def cancel(name: str, batch_id: str, tx: Transaction) -> int | None:
    """Cancel a batch; return how many numbers its members have, or None if it does not run."""
    record = find_record(tx, tx.queue_id(name), batch_id)
    if record is None or record.state != RUNNING:
        return None
    tx.execute("UPDATE pyasynq_batch SET cancelled = 1 WHERE seq = ?", (record.seq,))
    return record.numbers


def drop_members(name: str, batch_id: str, first: int, tx: Transaction) -> list[str]:
    """Delete waiting ones of `MAX_BULK` members of a batch; return the ids of those that run."""
    record = find_record(tx, tx.queue_id(name), batch_id)
    if record is None or record.state != RUNNING:
        return []
    stop = first + MAX_BULK
    sql = f"""UPDATE pyasynq_ended SET outcome = {FAILED}
        WHERE batch = ? AND outcome = {AGAIN} AND number >= ? AND number < ?"""
    failed = tx.execute(sql, (record.seq, first, stop)).rowcount
    tasks = _open_members(tx, record, first, stop)
    dropped = [task for task in tasks if task[3] in DROPPED]
    delete(tx, record.queue, [(seq, task_id, data) for seq, task_id, data, _ in dropped])
    sql = "INSERT OR IGNORE INTO pyasynq_ended(batch, number, outcome) VALUES (?, ?, ?)"
    numbers = [int(task_id.rpartition(":")[2]) for _, task_id, _, _ in dropped]
    tx.executemany(sql, [(record.seq, number, SUCCEEDED) for number in numbers])
    sql = """UPDATE pyasynq_batch SET open = open - ?, failed = failed + ?, changed = ?
        WHERE seq = ?"""
    tx.execute(sql, (failed + len(dropped), failed, tx.now_us, record.seq))
    end_if_over(tx, name, batch_id)
    return [task_id for _, task_id, _, state in tasks if state == ACTIVE]


def _open_members(tx: Transaction, record: Record, first: int, stop: int) -> list[Row]:
    """Return the tasks of members that have not ended: row number, id, message, state."""
    sql = "SELECT number FROM pyasynq_ended WHERE batch = ? AND number >= ? AND number < ?"
    ended = {number for (number,) in tx.rows(sql, record.seq, first, stop)}
    ids = [member_id(record.id, number) for number in range(first, stop) if number not in ended]
    rows: list[Row] = []
    for start in range(0, len(ids), 500):  # SQLite takes 999 parameters
        some = ids[start : start + 500]
        sql = f"""SELECT seq, id, message, state FROM pyasynq_task
            WHERE queue = ? AND id IN ({marks(len(some))})"""
        rows += tx.rows(sql, record.queue, *some)
    return rows
