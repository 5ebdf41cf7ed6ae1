"""The port for flows: one transaction reaches the tasks of all queues."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Literal, TypeAlias

import msgspec

from pyasynq.broker.ports.creation import NewTask
from pyasynq.broker.ports.flows import FlowTimer, Neglected, unreadable
from pyasynq.broker.sqlite.batch_records import begin_map
from pyasynq.broker.sqlite.creation import MAX_NEW, create
from pyasynq.broker.sqlite.store import Row, Store, Transaction, marks
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.compose import Lock, Pending, Plan, Scheduled
from pyasynq.core.errors import BrokerError, DuplicateTaskError
from pyasynq.core.flow import (
    FAILED,
    MAP_GONE,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    FlowState,
    Moves,
    Node,
    advance,
    state_of,
)
from pyasynq.core.flow_errors import DuplicateFlowError
from pyasynq.core.flow_record import FLOW, FlowChange, FlowRecord, FlowSpec, NewFlow
from pyasynq.core.message import decode, encode
from pyasynq.core.report import Report

HOLD_US: Final = 10 * MICROS
"""Microseconds for which nobody else gets a timer that is over."""

MARKS: Final = {"succeeded": SUCCEEDED, "failed": FAILED, "skipped": SKIPPED}

COLUMNS: Final = "seq, id, spec, state, marks, version, created_s, ended_s, reason"

_Step: TypeAlias = Literal["plan", "output", "error", "times", "due"]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_spec: Final = msgspec.msgpack.Decoder(FlowSpec).decode
_decode_plan: Final = msgspec.msgpack.Decoder(tuple[bytes, str, int, int]).decode


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
            flow = _find(tx, queue, flow_id)
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
            flow = _find(tx, queue, flow_id)
            return None if flow is None else [flow.output(number) for number in nodes]

        return await self._store.read(read)

    async def plans(self, queue: str, flow_id: str, nodes: Sequence[int]) -> Sequence[Plan | None]:
        """Return the plans for the tasks of steps; None for gates, and if there is no such flow."""

        def read(tx: Transaction) -> Sequence[Plan | None]:
            flow = _find(tx, queue, flow_id)
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


def receive(tx: Transaction, report: Report) -> bool:
    """Take *report* to its flow; False if there is no such flow.

    Raises:
        BrokerError: If the flow cannot be read.
    """
    place = report.place
    flow = _find(tx, place.queue, place.id)
    if flow is None:
        return False
    number = place.node
    is_current = 0 <= number < len(flow.marks) and (flow.step(number, "times") or 0) == place.member
    if is_current and flow.marks[number] == RUNNING:
        if report.output:
            flow.set_step(number, "output", report.output)
        if report.error:
            flow.set_step(number, "error", report.error)
        flow.go_on(advance(flow.spec.nodes, flow.marks, number, MARKS[report.result]))
    return True


def delete_flows(tx: Transaction, queue: int, limit: int) -> int:
    """Delete up to *limit* flows of a queue that is removed; return how many."""
    rows = tx.rows("SELECT seq FROM pyasynq_flow WHERE queue = ? LIMIT ?", queue, limit)
    _delete(tx, [seq for (seq,) in rows])
    return len(rows)


def _receive(report: Report, tx: Transaction) -> bool:
    return receive(tx, report)


def _readable(tx: Transaction, queue: str, rows: Sequence[Row]) -> Iterator[FlowRecord]:
    """Yield the flows of *rows*, without those that cannot be read."""
    for row in rows:
        with suppress(BrokerError):
            yield _Flow(tx, queue, row).record()


def _spec_of(queue: str, flow_id: str, stored: bytes, marks: str) -> FlowSpec:
    """Return the steps of a flow, decoded.

    Raises:
        BrokerError: If they cannot be read.
    """
    try:
        spec = _decode_spec(stored)
    except (TypeError, msgspec.DecodeError) as error:
        raise unreadable("SQLite", queue, flow_id) from error
    if len(spec.nodes) != len(marks):
        raise unreadable("SQLite", queue, flow_id)
    return spec


class _Flow:
    """A flow within a transaction."""

    def __init__(self, tx: Transaction, queue: str, row: Row) -> None:
        """Hold the *row* of a flow of *queue*, with `COLUMNS`."""
        self._tx = tx
        self._queue = queue
        self._seq, self._id, spec, state, self.marks = row[:5]
        self._version, self._created_s, self._ended_s, self._reason = row[5:]
        self.state: FlowState = state
        self.spec: FlowSpec = _spec_of(queue, self._id, spec, self.marks)

    def record(self) -> FlowRecord:
        """Return what the port returns."""
        sql = "SELECT number, error, times FROM pyasynq_flow_step WHERE flow = ?"
        steps = self._tx.rows(sql, self._seq)
        return FlowRecord(
            queue=self._queue,
            id=self._id,
            spec=self.spec,
            state=self.state,
            marks=self.marks,
            version=self._version,
            created_s=self._created_s,
            ended_s=self._ended_s,
            reason=self._reason,
            errors={n: error for n, error, _ in steps if error and self.marks[n] == FAILED},
            times={n: times for n, _, times in steps if times},
        )

    def step(self, number: int, column: _Step) -> object:
        """Return what a *column* says of a step; None without that."""
        sql = f"SELECT {column} FROM pyasynq_flow_step WHERE flow = ? AND number = ?"
        found = self._tx.row(sql, self._seq, number)
        return None if found is None else found[0]

    def set_step(self, number: int, column: _Step, value: object) -> None:
        """Write *value* into a *column* of a step."""
        sql = f"""INSERT INTO pyasynq_flow_step(flow, number, {column}) VALUES (?, ?, ?)
            ON CONFLICT (flow, number) DO UPDATE SET {column} = excluded.{column}"""
        self._tx.execute(sql, (self._seq, number, value))

    def output(self, number: int) -> bytes | None:
        """Return what a step has reported; None for no output."""
        stored = self.step(number, "output")
        return stored if isinstance(stored, bytes) else None

    def plan(self, number: int) -> Plan | None:
        """Return the plan for the task of a step; None for a gate."""
        stored = self.step(number, "plan")
        return _read_plan(stored) if isinstance(stored, bytes) else None

    def change(self, change: FlowChange) -> None:
        """Write all of *change* but the moves."""
        for number, output in change.outputs.items():
            self.set_step(number, "output", output)
        for number, error in change.errors.items():
            self.set_step(number, "error", error)
        for number, plan in change.plans.items():
            self.set_step(number, "plan", _plan_value(plan))
        for number, times in change.times.items():
            self.set_step(number, "times", times)
        if change.state == "running" and self.state != "running":
            self._ended_s = 0
        self.state = change.state
        self._reason = change.reason or self._reason

    def go_on(self, moves: Moves) -> None:
        """Start steps until none can start, and write the row."""
        self.marks = moves.marks
        starts = list(moves.starts)
        while starts:
            ended = self._start(starts)
            starts.clear()
            for number, mark in ended.items():
                moves = advance(self.spec.nodes, self.marks, number, mark)
                self.marks = moves.marks
                starts += moves.starts
        self._write()

    def _start(self, numbers: Sequence[int]) -> Mapping[int, str]:
        """Start steps; return the marks of those that have ended at once."""
        ended: dict[int, str] = {}
        tasks: list[tuple[int, NewTask]] = []
        for number in numbers:
            node = self.spec.nodes[number]
            if node.is_map:
                ended |= self._begin_map(number, node)
            elif node.is_gate:
                ended |= self._begin_gate(number, node)
            else:
                tasks.append((number, NewTask(self._due_plan(number, node.delay_s))))
        for start in range(0, len(tasks), MAX_NEW):
            some = tasks[start : start + MAX_NEW]
            answers = create(self._tx, [task for _, task in some])
            for (number, _), refusal in zip(some, answers, strict=True):
                if refusal is not None:
                    is_lock = isinstance(refusal, DuplicateTaskError)
                    why = "another task holds its unique lock" if is_lock else TAKEN
                    self.set_step(number, "error", f"its task was refused: {why}")
                    ended[number] = FAILED
        return ended

    def _begin_gate(self, number: int, node: Node) -> Mapping[int, str]:
        """Let a gate wait; return its mark if its signal came before."""
        if self.output(number) is not None:
            return {number: SUCCEEDED}
        if node.timeout_s:
            self.set_step(number, "due", self._tx.now_us + node.timeout_s * MICROS)
        return {}

    def _begin_map(self, number: int, node: Node) -> Mapping[int, str]:
        """Let the tasks of a map run; return its mark if it has ended at once."""
        times = self.step(number, "times")
        map = begin_map(self._tx, node.queue, node.batch_id, times if isinstance(times, int) else 0)
        if map is not None and map.ended is None:
            return {}
        problem = MAP_GONE if map is None else map.problem
        self.set_step(number, "error", problem)
        return {number: FAILED if problem else SUCCEEDED}

    def _due_plan(self, number: int, delay_s: int) -> Plan:
        plan = self.plan(number)
        if plan is None:
            msg = f"flow {self._id}: step {number} has no task"
            raise AssertionError(msg)
        if not delay_s:
            return plan
        return Scheduled(message=plan.message, lock=plan.lock, at_s=self._tx.now_s + delay_s)

    def _write(self) -> None:
        if self.state == "running":
            self.state = state_of(self.marks)
        keep_s = self.spec.keep_s if self.state == "succeeded" else self.spec.keep_failed_s
        if self.state == "running":
            keep_s = self._ended_s = 0
        elif not self._ended_s:
            self._ended_s = self._tx.now_s
        sql = """UPDATE pyasynq_flow SET state = ?, marks = ?, version = version + 1,
            reason = ?, changed_s = ?, ended_s = ?, ends = ?,
            due = CASE WHEN ? THEN due ELSE 0 END,
            name = CASE WHEN ? THEN name ELSE NULL END WHERE seq = ?"""
        ends = (self._ended_s + keep_s) * MICROS if self._ended_s else 0
        runs = self.state == "running"
        values = (self.state, self.marks, self._reason, self._tx.now_s, self._ended_s, ends)
        self._tx.execute(sql, (*values, runs, runs, self._seq))


TAKEN: Final = "a task with this id exists"


def _find(tx: Transaction, queue: str, flow_id: str) -> _Flow | None:
    sql = f"""SELECT {COLUMNS} FROM pyasynq_flow WHERE queue = ? AND id = ?
        AND (ends = 0 OR ends > ?)"""
    row = tx.row(sql, tx.queue_id(queue), flow_id, tx.now_us)
    return None if row is None else _Flow(tx, queue, row)


def _open(new: NewFlow, tx: Transaction) -> bool:
    if _find(tx, new.queue, new.id) is not None:
        return False
    queue = tx.register(new.queue)
    if new.unique_s:
        _check_name(tx, queue, new)
    if (old := tx.row(_OLD, queue, new.id)) is not None:
        _delete(tx, [old[0]])
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
    rows = [(seq, n, _plan_value(plan)) for n, plan in enumerate(new.plans) if plan is not None]
    tx.executemany("INSERT INTO pyasynq_flow_step(flow, number, plan) VALUES (?, ?, ?)", rows)
    flow = _find(tx, new.queue, new.id)
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


_OLD: Final = "SELECT seq FROM pyasynq_flow WHERE queue = ? AND id = ?"
_OVER: Final = "SELECT seq FROM pyasynq_flow WHERE ends > 0 AND ends <= ? LIMIT ?"


def _change(record: FlowRecord, change: FlowChange, tx: Transaction) -> bool:
    flow = _find(tx, record.queue, record.id)
    if flow is None or flow.record().version != record.version:
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
        _delete(tx, [seq for (seq,) in tx.rows(_OVER, tx.now_us, count)])
    timers = [FlowTimer(id=flow_id, node=FLOW) for _, flow_id in flows]
    timers += [FlowTimer(id=flow_id, node=step) for _, step, flow_id in gates]
    return Neglected(timers=timers, idle=[flow_id for _, flow_id in idle])


def _delete(tx: Transaction, seqs: Sequence[int]) -> None:
    for table, column in (("pyasynq_flow_step", "flow"), ("pyasynq_flow", "seq")):
        tx.execute(f"DELETE FROM {table} WHERE {column} IN ({marks(len(seqs))})", seqs)


def _plan_value(plan: Plan) -> bytes:
    lock = plan.lock or Lock(digest="", ttl_s=0)
    at_s = plan.at_s if isinstance(plan, Scheduled) else 0
    return _encode((encode(plan.message), lock.digest, lock.ttl_s, at_s))


def _read_plan(stored: bytes) -> Plan:
    data, digest, ttl_s, at_s = _decode_plan(stored)
    message, lock = decode(data), Lock(digest=digest, ttl_s=ttl_s) if ttl_s else None
    if at_s:
        return Scheduled(message=message, lock=lock, at_s=at_s)
    return Pending(message=message, lock=lock)
