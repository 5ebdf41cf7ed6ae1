"""Rows of batches: read them, release their tasks, and have failed members run again."""

from typing import Final, NamedTuple

from pyasynq.broker.sqlite.schema import AGGREGATING, ARCHIVED, HELD, SCHEDULED
from pyasynq.broker.sqlite.store import Transaction
from pyasynq.broker.sqlite.tasks import FORGET_RUN_HISTORY, MICROS, append
from pyasynq.core.batch import BatchState, member_id
from pyasynq.core.message import decode, encode
from pyasynq.core.policy import MAP_LOOK_S, MAX_BULK

STAGING: Final = "staging"
WAITING: Final = "waiting"
RUNNING: Final = "running"
DISCARDED: Final = "discarded"
"""States of a batch that has not ended. A map waits until its flow begins it."""

SUCCEEDED: Final = 0
FAILED: Final = 1
RESERVED: Final = 2
AGAIN: Final = 3
"""Outcomes of numbers; see `schema`."""

MOST_FAILED: Final = 10_000
"""Failed members of a batch that are listed, and that run again."""

MOST_OUTPUT: Final = 16 * 1024 * 1024
"""Bytes of the results of a map that are kept, all together."""

RELEASED_EACH: Final = 16
"""Members that are released when one has ended: a transaction counts some hundred."""

COLUMNS: Final = """seq, id, queue, state, total, open, failed, numbers, times, cancelled, releases,
    bytes, home, flow, node, ended"""


class Record(NamedTuple):
    """A batch that counts its members; see `schema`."""

    seq: int
    id: str
    queue: int
    state: str
    total: int
    open: int
    failed: int
    numbers: int
    times: int
    cancelled: int
    releases: int
    bytes: int | None
    home: str | None
    flow: str | None
    node: int | None
    ended: int | None

    @property
    def is_lost(self) -> bool:
        """Whether it has failed, once it has ended."""
        return self.failed > 0 or (self.bytes or 0) > MOST_OUTPUT

    @property
    def end(self) -> BatchState:
        """Its state once it has ended."""
        if self.cancelled:
            return "cancelled"
        return "failed" if self.is_lost else "succeeded"

    @property
    def problem(self) -> str:
        """Why a map has failed; empty if it has not."""
        if self.cancelled:
            return "its batch was cancelled"
        if self.failed:
            return f"{self.failed} of {self.total} tasks have failed"
        if self.is_lost:
            return f"the results have {self.bytes} bytes; a map keeps {MOST_OUTPUT}"
        return ""


def find_record(tx: Transaction, queue: int | None, batch_id: str) -> Record | None:
    """Return the record of a batch; None if there is none, or it counts no members."""
    sql = f"""SELECT {COLUMNS} FROM pyasynq_batch
        WHERE queue = ? AND id = ? AND open IS NOT NULL"""
    row = tx.row(sql, queue, batch_id)
    return None if row is None else Record(*row)


def end_record(tx: Transaction, record: Record) -> None:
    """Write that a batch has ended; a map is kept as long as its flow."""
    kept_us = "kept" if record.flow is None else f"{MAP_LOOK_S * MICROS}"
    sql = f"""UPDATE pyasynq_batch SET state = ?, ended = ?, changed = ?, ends = ? + {kept_us}
        WHERE seq = ?"""
    tx.execute(sql, (record.end, tx.now_us, tx.now_us, tx.now_us, record.seq))


def release_tasks(tx: Transaction, queue: int, name: str, batch_id: str, limit: int) -> int:
    """Give up to *limit* held tasks of a queue to the workers; return how many these were."""
    sql = f"""SELECT seq, at, group_name FROM pyasynq_task
        WHERE queue = ? AND state = {HELD} AND set_id = ? ORDER BY seq LIMIT ?"""
    rows = tx.rows(sql, queue, batch_id, limit)
    sql = f"UPDATE pyasynq_task SET state = {SCHEDULED}, set_id = NULL WHERE seq = ?"
    tx.executemany(sql, [(seq,) for seq, at, _ in rows if at])
    sql = f"UPDATE pyasynq_task SET state = {AGGREGATING}, at = ?, set_id = NULL WHERE seq = ?"
    tx.executemany(sql, [(tx.now_us, seq) for seq, at, group in rows if group and not at])
    ready = [seq for seq, at, group in rows if not (at or group)]
    append(tx, queue, name, ready, also=", set_id = NULL")
    return len(rows)


def release_members(tx: Transaction, name: str, record: Record, limit: int) -> int:
    """Release up to *limit* members of a batch of the queue *name*; return how many."""
    count = release_tasks(tx, record.queue, name, record.id, limit)
    count += _run_again(tx, name, record, limit - count)
    if count < limit:
        tx.execute("UPDATE pyasynq_batch SET releases = 0 WHERE seq = ?", (record.seq,))
    return count


def run_failed(tx: Transaction, record: Record, times: int) -> None:
    """Have the failed members of a batch that has ended run again, for the *times* th time."""
    sql = f"""SELECT number FROM pyasynq_ended WHERE batch = ? AND outcome = {FAILED}
        ORDER BY number LIMIT ?"""
    rows = [(record.seq, number) for (number,) in tx.rows(sql, record.seq, MOST_FAILED)]
    sql = f"UPDATE pyasynq_ended SET outcome = {AGAIN} WHERE batch = ? AND number = ?"
    tx.executemany(sql, rows)
    sql = f"""UPDATE pyasynq_batch SET state = '{RUNNING}', failed = failed - ?, open = open + ?,
        times = ?, releases = 1, swept = 0, changed = ?, ended = NULL, ends = NULL WHERE seq = ?"""
    tx.execute(sql, (len(rows), len(rows), times, tx.now_us, record.seq))


def begin_map(tx: Transaction, name: str, batch_id: str, times: int) -> Record | None:
    """Let a map of the queue *name* run, as its flow says; return what it is then.

    Args:
        tx: The transaction.
        name: Queue of its tasks.
        batch_id: Id of its batch.
        times: How often its step was retried.

    Returns:
        Its record, which may have ended already; None if it is gone.
    """
    queue = tx.queue_id(name)
    record = find_record(tx, queue, batch_id)
    if record is None:
        return None
    if record.state == WAITING:
        sql = f"""UPDATE pyasynq_batch SET state = '{RUNNING}', times = ?, releases = 1, changed = ?
            WHERE seq = ?"""
        tx.execute(sql, (times, tx.now_us, record.seq))
    elif record.state == "failed":
        run_failed(tx, record, times)
    else:
        return record
    release_members(tx, name, record, MAX_BULK)
    begun = find_record(tx, queue, batch_id)
    if begun is None or begun.open:
        return begun
    end_record(tx, begun)
    return find_record(tx, queue, batch_id)


def _run_again(tx: Transaction, name: str, record: Record, limit: int) -> int:
    """Let up to *limit* failed members run; those that are no longer archived stay failed."""
    sql = f"SELECT number FROM pyasynq_ended WHERE batch = ? AND outcome = {AGAIN} LIMIT ?"
    numbers = [number for (number,) in tx.rows(sql, record.seq, limit)]
    ready: list[int] = []
    for number in numbers:
        sql = f"""SELECT seq, message FROM pyasynq_task
            WHERE queue = ? AND id = ? AND state = {ARCHIVED}"""
        found = tx.row(sql, record.queue, member_id(record.id, number))
        if found is None:
            _stay_failed(tx, record, number)
            continue
        ready.append(found[0])
        message = decode(found[1])
        message.retried = 0
        sql = "UPDATE pyasynq_task SET message = ? WHERE seq = ?"
        tx.execute(sql, (encode(message), found[0]))
        sql = "DELETE FROM pyasynq_ended WHERE batch = ? AND number = ?"
        tx.execute(sql, (record.seq, number))
    append(tx, record.queue, name, ready, also=f", {FORGET_RUN_HISTORY}")
    return len(numbers)


def _stay_failed(tx: Transaction, record: Record, number: int) -> None:
    sql = f"UPDATE pyasynq_ended SET outcome = {FAILED} WHERE batch = ? AND number = ?"
    tx.execute(sql, (record.seq, number))
    sql = "UPDATE pyasynq_batch SET failed = failed + 1, open = open - 1 WHERE seq = ?"
    tx.execute(sql, (record.seq,))
