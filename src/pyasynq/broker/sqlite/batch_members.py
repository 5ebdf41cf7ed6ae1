"""Count the members of batches that have ended, and create the task that follows the last."""

from typing import Final

import msgspec

from pyasynq.broker.ports.creation import NewTask
from pyasynq.broker.sqlite import flow_rows
from pyasynq.broker.sqlite.batch_records import (
    FAILED,
    MOST_OUTPUT,
    RELEASED_EACH,
    RESERVED,
    RUNNING,
    SUCCEEDED,
    Record,
    end_record,
    find_record,
    release_members,
)
from pyasynq.broker.sqlite.creation import create
from pyasynq.broker.sqlite.store import Transaction
from pyasynq.core.batch import OUTCOME, BatchOutcome, BatchPlan
from pyasynq.core.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import decode, encode
from pyasynq.core.report import Place, Report, Result, place_of
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")


class _Follower(msgspec.Struct, frozen=True, array_like=True):
    """A task that follows a batch, as it is stored."""

    message: bytes
    at_s: int | None
    is_grouped: bool


class _Followers(msgspec.Struct, frozen=True, array_like=True):
    """The tasks that follow a batch: one of them is created."""

    then: _Follower | None
    failed: _Follower | None


_decode_followers: Final = msgspec.msgpack.Decoder(_Followers).decode


def pack_followers(plan: BatchPlan) -> bytes:
    """Return what follows a batch, encoded."""
    return msgspec.msgpack.encode(_Followers(_pack(plan.then), _pack(plan.failed)))


def _pack(plan: Plan | None) -> _Follower | None:
    if plan is None:
        return None
    at_s = plan.at_s if isinstance(plan, Scheduled) else None
    return _Follower(encode(plan.message), at_s, isinstance(plan, Grouped))


def count_member(tx: Transaction, report: Report) -> bool:
    """Count the member of *report*, unless it was counted; False if there is no such batch."""
    place = report.place
    record = find_record(tx, tx.queue_id(place.queue), place.id)
    if record is None:
        return False
    if not 0 <= place.member < record.numbers:
        return True  # no number of this batch
    outcome = FAILED if report.result == "failed" else SUCCEEDED
    sql = "INSERT OR IGNORE INTO pyasynq_ended(batch, number, outcome) VALUES (?, ?, ?)"
    if record.state != RUNNING or not tx.execute(sql, (record.seq, place.member, outcome)).rowcount:
        return True
    sql = """UPDATE pyasynq_batch SET open = open - 1, failed = failed + ?, changed = ?
        WHERE seq = ?"""
    tx.execute(sql, (outcome, tx.now_us, record.seq))
    if record.bytes is not None and report.output:
        _keep_output(tx, record, place.member, report.output)
    for plan in report.added:
        _add_member(tx, record.seq, place.id, plan)
    if record.releases:
        release_members(tx, place.queue, record, RELEASED_EACH)
    end_if_possible(tx, place.queue, place.id)
    return True


def _keep_output(tx: Transaction, record: Record, number: int, output: bytes) -> None:
    """Keep the result of a member, unless all results together are too large."""
    size = (record.bytes or 0) + len(output)
    tx.execute("UPDATE pyasynq_batch SET bytes = ? WHERE seq = ?", (size, record.seq))
    if size <= MOST_OUTPUT:
        sql = "UPDATE pyasynq_ended SET output = ? WHERE batch = ? AND number = ?"
        tx.execute(sql, (output, record.seq, number))


def _add_member(tx: Transaction, batch: int, batch_id: str, plan: Plan) -> None:
    place = place_of(plan.message)
    (refusal,) = create(tx, [NewTask(plan)])
    if place is None or refusal is not None:
        text = "a task was added to the batch %s of %r, but not created: %s"
        log.warning(text, batch_id, plan.message.queue, refusal)
        return
    tx.execute("DELETE FROM pyasynq_ended WHERE batch = ? AND number = ?", (batch, place.member))
    tx.execute(
        "UPDATE pyasynq_batch SET total = total + 1, open = open + 1 WHERE seq = ?", (batch,)
    )


def reserve_members(tx: Transaction, queue: str, batch_id: str, count: int) -> int | None:
    """Return the first of *count* numbers for new members; None if the batch takes none.

    Until they are added, they count as ended.
    """
    record = find_record(tx, tx.queue_id(queue), batch_id)
    if record is None or record.state != RUNNING or record.cancelled:
        return None
    sql = "UPDATE pyasynq_batch SET numbers = numbers + ? WHERE seq = ?"
    tx.execute(sql, (count, record.seq))
    numbers = range(record.numbers, record.numbers + count)
    sql = "INSERT INTO pyasynq_ended(batch, number, outcome) VALUES (?, ?, ?)"
    tx.executemany(sql, [(record.seq, number, RESERVED) for number in numbers])
    return record.numbers


def end_if_over(tx: Transaction, queue: str, batch_id: str) -> None:
    """End a batch that has no open members: create the task that follows, or report to its flow.

    Raises:
        BrokerError: If its flow cannot be read. The batch stays as it is, until a repair.
    """
    number = tx.queue_id(queue)
    record = find_record(tx, number, batch_id)
    if record is None or record.open or record.state != RUNNING:
        return
    if record.home is not None and record.flow is not None:
        flow_rows.receive(tx, _report_to_flow(record, record.home, record.flow))
    end_record(tx, record)
    if record.flow is None and not record.cancelled:
        _follow(tx, queue, record)


def end_if_possible(tx: Transaction, queue: str, batch_id: str) -> None:
    """End a batch as `end_if_over` does, or leave it to a repair if its flow cannot be read.

    A broken record must not keep tasks from ending.
    """
    try:
        end_if_over(tx, queue, batch_id)
    except BrokerError as error:
        log.warning("all tasks of the batch %s have ended, but %s", batch_id, error)


def _report_to_flow(record: Record, home: str, flow: str) -> Report:
    place = Place(kind="flow", queue=home, id=flow, node=record.node or 0, member=record.times)
    result: Result = "succeeded" if record.end == "succeeded" else "failed"
    return Report(place=place, result=result, error=record.problem)


def _follow(tx: Transaction, queue: str, record: Record) -> None:
    """Create the task that follows a batch which has ended."""
    sql = "SELECT followers FROM pyasynq_batch WHERE seq = ?"
    ((stored,),) = tx.rows(sql, record.seq)
    followers = _decode_followers(stored)
    follower = followers.failed if record.is_lost else followers.then
    if follower is None:
        return
    outcome = BatchOutcome(id=record.id, queue=queue, total=record.total, failed=record.failed)
    (refusal,) = create(tx, [NewTask(_unpack(follower, outcome, record.times))])
    if refusal is not None:
        log.warning("batch %s has ended, but what follows was not created: %s", record.id, refusal)


def _unpack(follower: _Follower, outcome: BatchOutcome, times: int) -> Plan:
    message = decode(follower.message)
    message.id += f":{times}" if times else ""
    message.headers[OUTCOME] = msgspec.json.encode(outcome).decode()
    if follower.at_s is not None:
        return Scheduled(message=message, lock=None, at_s=follower.at_s)
    if follower.is_grouped:
        return Grouped(message=message, lock=None)
    return Pending(message=message, lock=None)


def forget_batch(tx: Transaction, seq: int, limit: int) -> int:
    """Delete up to *limit* rows of a batch, at the end also its record; return how many."""
    sql = "SELECT number FROM pyasynq_ended WHERE batch = ? LIMIT ?"
    rows = [(seq, number) for (number,) in tx.rows(sql, seq, limit)]
    tx.executemany("DELETE FROM pyasynq_ended WHERE batch = ? AND number = ?", rows)
    if len(rows) < limit:
        tx.execute("DELETE FROM pyasynq_batch WHERE seq = ?", (seq,))
    return len(rows)
