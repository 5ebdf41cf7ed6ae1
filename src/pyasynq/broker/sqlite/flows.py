"""The port for flows: one transaction reaches the tasks of all queues."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from pyasynq.broker.ports.flows import FlowTimer, Neglected
from pyasynq.broker.sqlite.flow_rows import COLUMNS, StoredFlow, find_flow, pack_plan, receive
from pyasynq.broker.sqlite.store import Row, Store, Transaction, marks
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.flow import RUNNING
from pyasynq.core.flow_errors import DuplicateFlowError
from pyasynq.core.flow_record import FLOW, FlowChange, FlowRecord, NewFlow
from pyasynq.core.report import Report

HOLD_US: Final = 10 * MICROS
"""Microseconds for which nobody else gets a timer that is over."""

_encode: Final = msgspec.msgpack.Encoder().encode


class SqliteFlows:
    """Flows: a row for each, and one for each of their steps."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def open(self, flow: NewFlow) -> bool:
        """Store *flow* and start its first steps, in one step; False if it is stored already."""
        return await self._store.accept(partial(_open, flow))

    async def read(self, queue: str, flow_id: str) -> FlowRecord | None:
        """Return a flow; None if it does not exist, or is no longer kept."""

        def read(tx: Transaction) -> FlowRecord | None:
            flow = find_flow(tx, queue, flow_id)
            return None if flow is None else flow.record()

        return await self._store.read(read)

    async def list(
        self, queue: str, *, running: bool, start: int, count: int
    ) -> Sequence[FlowRecord]:
        """Return up to *count* flows that run, or that have ended; see `FlowPort.list`."""

        def read(tx: Transaction) -> Sequence[FlowRecord]:
            sql = f"""SELECT {COLUMNS} FROM pyasynq_flow WHERE queue = ? AND (ended_s = 0) = ?
                AND (ends = 0 OR ends > ?)
                ORDER BY ends DESC, changed_s DESC, seq DESC LIMIT ? OFFSET ?"""
            rows = tx.rows(sql, tx.queue_id(queue), running, tx.now_us, count, start)
            return list(_readable(tx, queue, rows))

        return await self._store.read(read)

    async def outputs(
        self, queue: str, flow_id: str, nodes: Sequence[int]
    ) -> Sequence[bytes | None] | None:
        """Return what steps have reported; None if there is no such flow."""

        def read(tx: Transaction) -> Sequence[bytes | None] | None:
            flow = find_flow(tx, queue, flow_id)
            return None if flow is None else [flow.output(number) for number in nodes]

        return await self._store.read(read)

    async def plans(self, queue: str, flow_id: str, nodes: Sequence[int]) -> Sequence[Plan | None]:
        """Return the plans for the tasks of steps; None for gates, and if there is no such flow."""

        def read(tx: Transaction) -> Sequence[Plan | None]:
            flow = find_flow(tx, queue, flow_id)
            return [None if flow is None else flow.plan(number) for number in nodes]

        return await self._store.read(read)

    async def change(self, record: FlowRecord, change: FlowChange) -> bool:
        """Change the flow of *record*; False if it has changed since that was read."""
        return await self._store.accept(partial(_change, record, change))

    async def report(self, reports: Sequence[Report]) -> None:
        """Take reports to their records, as `WorkPort.settle` does."""
        for report in reports:
            await self._store.write(partial(_receive, report))

    async def look_after(self, queue: str, *, idle_s: int, count: int) -> Neglected:
        """Return what needs care in *queue*; nobody else gets the same for some seconds."""
        call = partial(_look_after, queue, idle_s, count)

        def read(tx: Transaction) -> tuple[Neglected, bool]:
            return call(tx, touch=False), tx.row(_OVER, tx.now_us, 1) is not None

        neglected, is_any_over = await self._store.read(read)
        if not (neglected.timers or neglected.idle or is_any_over):
            return neglected
        return await self._store.write(partial(call, touch=True))


def delete_flows(tx: Transaction, queue: int, limit: int) -> int:
    """Delete up to *limit* flows of a queue that is removed; return how many."""
    sql = "SELECT seq FROM pyasynq_flow WHERE queue = ? LIMIT ?"
    return _delete(tx, tx.rows(sql, queue, limit))


def _receive(report: Report, tx: Transaction) -> bool:
    return receive(tx, report)


def _readable(tx: Transaction, queue: str, rows: Sequence[Row]) -> Iterator[FlowRecord]:
    """Yield the flows of *rows*, without those that cannot be read."""
    for row in rows:
        with suppress(BrokerError):
            yield StoredFlow(tx, queue, row).record()


def _open(new: NewFlow, tx: Transaction) -> bool:
    if find_flow(tx, new.queue, new.id) is not None:
        return False
    queue = tx.register(new.queue)
    if new.unique_s:
        _check_name(tx, queue, new)
    sql = "SELECT seq FROM pyasynq_flow WHERE queue = ? AND id = ?"
    if (old := tx.row(sql, queue, new.id)) is not None:
        _delete(tx, [old])
    due = tx.now_us + new.spec.timeout_s * MICROS if new.spec.timeout_s else 0
    sql = """INSERT INTO pyasynq_flow(queue, id, spec, state, marks, version, created_s, changed_s,
        ended_s, ends, due, reason) VALUES (?, ?, ?, 'running', ?, 0, ?, ?, 0, 0, ?, '')"""
    now_s = tx.now_s
    values = (queue, new.id, _encode(new.spec), new.moves.marks, now_s, now_s, due)
    seq = tx.execute(sql, values).lastrowid
    if new.unique_s:
        locked = tx.now_us + new.unique_s * MICROS
        sql = "UPDATE pyasynq_flow SET name = ?, locked = ? WHERE seq = ?"
        tx.execute(sql, (new.spec.name, locked, seq))
    rows = [(seq, n, pack_plan(plan)) for n, plan in enumerate(new.plans) if plan is not None]
    tx.executemany("INSERT INTO pyasynq_flow_step(flow, number, plan) VALUES (?, ?, ?)", rows)
    flow = find_flow(tx, new.queue, new.id)
    if flow is not None:
        flow.go_on(new.moves)
    return True


def _check_name(tx: Transaction, queue: int, new: NewFlow) -> None:
    """Return if no other flow has locked the name of a new one.

    Raises:
        DuplicateFlowError: If one has.
    """
    sql = "SELECT id FROM pyasynq_flow WHERE queue = ? AND name = ? AND locked > ?"
    holder = tx.row(sql, queue, new.spec.name, tx.now_us)
    if holder is not None:
        raise DuplicateFlowError(new.queue, new.spec.name, holder[0])


_OVER: Final = "SELECT seq FROM pyasynq_flow WHERE ends > 0 AND ends <= ? LIMIT ?"


def _change(record: FlowRecord, change: FlowChange, tx: Transaction) -> bool:
    flow = find_flow(tx, record.queue, record.id)
    if flow is None or flow.version != record.version:
        return False
    flow.change(change)
    flow.go_on(change.moves)
    return True


def _look_after(queue: str, idle_s: int, count: int, tx: Transaction, *, touch: bool) -> Neglected:
    number = tx.queue_id(queue)
    where = "queue = ? AND ended_s = 0"
    sql = f"SELECT seq, id FROM pyasynq_flow WHERE {where} AND due > 0 AND due <= ? LIMIT ?"
    flows = tx.rows(sql, number, tx.now_us, count)
    sql = f"""SELECT s.flow, s.number, f.id FROM pyasynq_flow_step s JOIN pyasynq_flow f
        ON f.seq = s.flow WHERE f.{where} AND s.due > 0 AND s.due <= ?
        AND substr(f.marks, s.number + 1, 1) = '{RUNNING}' LIMIT ?"""
    gates = tx.rows(sql, number, tx.now_us, count)
    sql = f"SELECT seq, id FROM pyasynq_flow WHERE {where} AND changed_s <= ? LIMIT ?"
    idle = tx.rows(sql, number, tx.now_s - idle_s, count)
    if touch:
        held = tx.now_us + HOLD_US
        sql = "UPDATE pyasynq_flow SET due = ? WHERE seq = ?"
        tx.executemany(sql, [(held, seq) for seq, _ in flows])
        sql = "UPDATE pyasynq_flow_step SET due = ? WHERE flow = ? AND number = ?"
        tx.executemany(sql, [(held, seq, step) for seq, step, _ in gates])
        sql = "UPDATE pyasynq_flow SET changed_s = ? WHERE seq = ?"
        tx.executemany(sql, [(tx.now_s, seq) for seq, _ in idle])
        _delete(tx, tx.rows(_OVER, tx.now_us, count))
    timers = [FlowTimer(id=flow_id, node=FLOW) for _, flow_id in flows]
    timers += [FlowTimer(id=flow_id, node=step) for _, step, flow_id in gates]
    return Neglected(timers=timers, idle=[flow_id for _, flow_id in idle])


def _delete(tx: Transaction, rows: Sequence[Row]) -> int:
    """Delete flows and their steps by the first column of *rows*; return how many."""
    seqs = [row[0] for row in rows]
    for table, column in (("pyasynq_flow_step", "flow"), ("pyasynq_flow", "seq")):
        tx.execute(f"DELETE FROM {table} WHERE {column} IN ({marks(len(seqs))})", seqs)
    return len(seqs)
