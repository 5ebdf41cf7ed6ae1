"""Rows of tasks: write them, delete them, and read them as leases and infos."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from pyasynq.broker.ports.inspection import Container, StoredTask
from pyasynq.broker.ports.work import Lease
from pyasynq.broker.records import read_message, restore_run_history
from pyasynq.broker.sqlite.schema import (
    ACTIVE,
    AGGREGATING,
    ARCHIVED,
    IS_WAITING,
    PENDING,
    RETRY,
    SCHEDULED,
    STAGED,
    STATES,
)
from pyasynq.broker.sqlite.store import Row, Transaction, marks
from pyasynq.broker.sqlite.wake import pending_topic
from pyasynq.core.attempts import decode_attempts
from pyasynq.core.errors import PoisonError
from pyasynq.core.info import TaskInfo, info_of_message
from pyasynq.core.message import TaskMessage, decode, instant
from pyasynq.core.policy import ARCHIVE_S, MAX_TASKS, MOST_ARCHIVED

MICROS: Final = 1_000_000

FORGET_RUN_HISTORY: Final = """crashes = NULL, unknown_since_s = NULL, retried = NULL,
    unstarted = NULL"""
"""For the SET of an UPDATE: a task whose run history no longer counts."""

# -- places in a queue -----------------------------------------------------------------------------


def next_place(tx: Transaction, queue: int) -> int:
    """Return the place behind all pending tasks of *queue*, also if the clock has stepped back."""
    sql = f"SELECT max(at) FROM pyasynq_task WHERE queue = ? AND state = {PENDING}"
    ((last,),) = tx.rows(sql, queue)
    return tx.now_us if last is None else max(tx.now_us, last + 1)


def append(tx: Transaction, queue: int, name: str, seqs: Sequence[int], *, also: str = "") -> None:
    """Put tasks behind all pending ones, in order, and wake workers; *also* is more of a SET."""
    place = next_place(tx, queue)
    sql = f"UPDATE pyasynq_task SET state = {PENDING}, at = ?{also} WHERE seq = ?"
    tx.executemany(sql, [(place + n, seq) for n, seq in enumerate(seqs)])
    if seqs:
        tx.changed.add(pending_topic(name))


# -- the end of a task -----------------------------------------------------------------------------


def delete(tx: Transaction, queue: int, tasks: Sequence[tuple[int, str, bytes]]) -> None:
    """Delete tasks, given as row number, id and encoded message, and release their locks."""
    unlock(tx, queue, ((task_id, unique_key_of(data)) for _, task_id, data in tasks))
    delete_rows(tx, [seq for seq, _, _ in tasks])


def delete_rows(tx: Transaction, seqs: Sequence[int]) -> None:
    """Delete the rows of tasks."""
    for start in range(0, len(seqs), 500):  # SQLite takes 999 parameters
        some = seqs[start : start + 500]
        tx.execute(f"DELETE FROM pyasynq_task WHERE seq IN ({marks(len(some))})", some)


def unlock(tx: Transaction, queue: int, held: Iterable[tuple[str, str]]) -> None:
    """Release locks, given as task id and name, unless other tasks hold them."""
    if rows := [(queue, name, task_id) for task_id, name in held if name]:
        sql = "DELETE FROM pyasynq_lock WHERE queue = ? AND name = ? AND task_id = ?"
        tx.executemany(sql, rows)


def unique_key_of(data: bytes) -> str:
    """Return the name of the lock in an encoded message; empty if there is none."""
    try:
        return decode(data).unique_key
    except PoisonError:
        return ""


def trim_archive(tx: Transaction, queue: int, *, incoming: int = 0) -> int:
    """Delete the oldest archived tasks, at most `MAX_TASKS`; return how many.

    These are tasks above the age; if there are none, tasks above the number once *incoming* more
    are there.
    """
    columns = f"""SELECT seq, id, message FROM pyasynq_task
        WHERE queue = ? AND state = ? AND {IS_WAITING}"""
    oldest_us = tx.now_us - ARCHIVE_S * MICROS
    old = tx.rows(
        f"{columns} AND at <= ? ORDER BY at LIMIT ?", queue, ARCHIVED, oldest_us, MAX_TASKS
    )
    if not old:
        over = count_in(tx, queue, ARCHIVED) + incoming - MOST_ARCHIVED
        if over > 0:
            limit = min(over, MAX_TASKS)
            old = tx.rows(f"{columns} ORDER BY at LIMIT ?", queue, ARCHIVED, limit)
    delete(tx, queue, old)
    return len(old)


def count_in(tx: Transaction, queue: int, state: int) -> int:
    """Return the number of tasks of *queue* in *state*, which is above `ACTIVE`."""
    sql = f"SELECT count(*) FROM pyasynq_task WHERE queue = ? AND state = ? AND {IS_WAITING}"
    ((count,),) = tx.rows(sql, queue, state)
    return int(count)


def count_runs(tx: Transaction, queue: int, *, processed: int, failed: int) -> None:
    """Count runs, in total and for today."""
    if not processed:
        return
    sql = "UPDATE pyasynq_queue SET processed = processed + ?, failed = failed + ? WHERE id = ?"
    tx.execute(sql, (processed, failed, queue))
    sql = """INSERT INTO pyasynq_day VALUES (?, ?, ?, ?) ON CONFLICT (queue, day) DO UPDATE
        SET processed = processed + excluded.processed, failed = failed + excluded.failed"""
    tx.execute(sql, (queue, day_of(tx.now_s), processed, failed))


def day_of(unix_s: float) -> str:
    """Return the date (UTC) of an instant."""
    return instant(unix_s).strftime("%Y-%m-%d")


# -- reading ---------------------------------------------------------------------------------------

LEASE_COLUMNS: Final = "seq, id, message, crashes, unknown_since_s, retried"


def read_lease(
    row: Row, queue: str, owner: str, now_s: float, expires_at: float
) -> tuple[Lease, bool]:
    """Return the lease on the task of *row*, and whether its message is sound.

    The row begins with `LEASE_COLUMNS`.
    """
    seq, task_id, data, crashes, since_s, retried = row[:6]
    message, is_sound = read_message(queue, task_id.encode(errors="surrogateescape"), data)
    lease = Lease(message, task_id, seq, owner, now_s, expires_at)
    if crashes is not None or since_s is not None:
        unknown_s = None if since_s is None else max(0, int(now_s) - since_s)
        restore_run_history(lease, crashes or 0, unknown_s, -1 if retried is None else retried)
    return lease, is_sound


class TaskRow(NamedTuple):
    """What an inspector reads of a task."""

    seq: int
    id: str
    state: int
    at: int
    message: bytes
    group: str | None
    result: bytes | None
    lease_ends: int | None
    attempts: bytes | None = None


TASK_COLUMNS: Final = """t.seq, t.id, t.state, t.at, t.message, t.group_name, t.result,
    (SELECT ends FROM pyasynq_lease WHERE seq = t.seq)"""


def read_attempts(stored: bytes | None) -> dict[int, bytes]:
    """Return the records of a task's failed tries by their slots."""
    return {} if stored is None else msgspec.msgpack.decode(stored, type=dict[int, bytes])


def stored_task(queue: str, row: TaskRow, now: datetime) -> StoredTask:
    """Return the task of *row*, read at *now*."""
    message, is_sound = _message(queue, row)
    group = row.group or "" if row.state in {AGGREGATING, STAGED} else ""
    return StoredTask(
        container=Container(queue=queue, state=STATES[row.state], group=group),
        staged=row.state == STAGED,
        id=row.id,
        message=message if is_sound else None,
        info=_info(message, row, now) if is_sound else None,
        version=(row.seq, row.state, row.message),
        size=len(row.message),
    )


def task_info(queue: str, row: TaskRow, now: datetime) -> TaskInfo | None:
    """Return the task of *row* as a user sees it; None if its message cannot be decoded."""
    message, is_sound = _message(queue, row)
    return _info(message, row, now) if is_sound else None


def _message(queue: str, row: TaskRow) -> tuple[TaskMessage, bool]:
    return read_message(queue, row.id.encode(errors="surrogateescape"), row.message)


def _info(message: TaskMessage, row: TaskRow, now: datetime) -> TaskInfo:
    next_process_at = None
    if row.state == PENDING:
        next_process_at = now
    elif row.state in {SCHEDULED, RETRY}:
        next_process_at = instant(row.at / MICROS)
    over = row.lease_ends is None or row.lease_ends <= now.timestamp() * MICROS
    return info_of_message(
        message,
        state=STATES[row.state],
        next_process_at=next_process_at,
        is_orphaned=row.state == ACTIVE and over,
        result=row.result,
        attempts=decode_attempts(read_attempts(row.attempts).values()),
    )
