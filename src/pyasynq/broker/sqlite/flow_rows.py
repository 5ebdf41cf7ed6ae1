"""Flows within a transaction: read one, change it, and start its steps."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

from pyasynq.broker.ports.creation import NewTask
from pyasynq.broker.ports.flows import unreadable
from pyasynq.broker.sqlite.batch_records import begin_map
from pyasynq.broker.sqlite.creation import MAX_NEW, create
from pyasynq.broker.sqlite.store import Row, Transaction
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.compose import Lock, Pending, Plan, Scheduled
from pyasynq.core.errors import BrokerError, DuplicateTaskError
from pyasynq.core.flow import (
    FAILED,
    LOCK_HELD,
    MAP_GONE,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    FlowState,
    Moves,
    Node,
    advance,
    id_taken,
    state_of,
)
from pyasynq.core.flow_record import FlowChange, FlowRecord, FlowSpec, report_to_parent
from pyasynq.core.message import decode, encode
from pyasynq.core.report import Report
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

COLUMNS: Final = "seq, id, spec, state, marks, version, created_s, ended_s, reason"
"""What makes a `StoredFlow`, in this order."""

MARKS: Final = {"succeeded": SUCCEEDED, "failed": FAILED, "skipped": SKIPPED}

_Step: TypeAlias = Literal["plan", "output", "error", "times", "due"]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_spec: Final = lru_cache(maxsize=16)(msgspec.msgpack.Decoder(FlowSpec).decode)
"""Each step of a flow reads its spec, which never changes, and may have a thousand steps."""

_decode_plan: Final = msgspec.msgpack.Decoder(tuple[bytes, str, int, int]).decode


class StoredFlow:
    """A flow within a transaction."""

    def __init__(self, tx: Transaction, queue: str, row: Row) -> None:
        """Hold the *row* of a flow of *queue*, with `COLUMNS`."""
        self._tx = tx
        self._queue = queue
        self.marks: str
        self._seq, self._id, spec, state, self.marks = row[:5]
        version, self._created_s, self._ended_s, self._reason = row[5:]
        self.version: int = version
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
            version=self.version,
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
            self.set_step(number, "plan", pack_plan(plan))
        for number, times in change.times.items():
            self.set_step(number, "times", times)
        if change.state == "running" and self.state != "running":
            self._ended_s, self._reason = 0, ""
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
            for (number, task), refusal in zip(some, answers, strict=True):
                if refusal is not None:
                    is_lock = isinstance(refusal, DuplicateTaskError)
                    problem = LOCK_HELD if is_lock else id_taken(task.plan.message.id)
                    self.set_step(number, "error", problem)
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
        has_ended = self.state != "running" and not self._ended_s
        if self.state == "running":
            keep_s = self._ended_s = 0
        elif has_ended:
            self._ended_s = self._tx.now_s
        sql = """UPDATE pyasynq_flow SET state = ?, marks = ?, version = version + 1,
            reason = ?, changed_s = ?, ended_s = ?, ends = ?,
            due = CASE WHEN ? THEN due ELSE 0 END,
            name = CASE WHEN ? THEN name ELSE NULL END WHERE seq = ?"""
        ends = (self._ended_s + keep_s) * MICROS if self._ended_s else 0
        runs = self.state == "running"
        values = (self.state, self.marks, self._reason, self._tx.now_s, self._ended_s, ends)
        self._tx.execute(sql, (*values, runs, runs, self._seq))
        if has_ended and self.spec.parent is not None:
            self._report_to_parent()

    def _report_to_parent(self) -> None:
        """Tell the flow of which this one is a step how it has ended."""
        report = report_to_parent(self.record())
        if report is None:
            return
        try:
            problem = "" if receive(self._tx, report) else "that flow is gone"
        except BrokerError as error:  # a broken record must not keep this flow from ending
            problem = str(error)
        if problem:
            text = "flow %s has ended, but cannot report it to flow %s of %r, whose step it is: %s"
            log.warning(text, self._id, report.place.id, report.place.queue, problem)


def find_flow(tx: Transaction, queue: str, flow_id: str) -> StoredFlow | None:
    """Return a flow; None if it does not exist, or is no longer kept.

    Raises:
        BrokerError: If it cannot be read.
    """
    sql = f"""SELECT {COLUMNS} FROM pyasynq_flow WHERE queue = ? AND id = ?
        AND (ends = 0 OR ends > ?)"""
    row = tx.row(sql, tx.queue_id(queue), flow_id, tx.now_us)
    return None if row is None else StoredFlow(tx, queue, row)


def receive(tx: Transaction, report: Report) -> bool:
    """Take *report* to its flow; False if there is no such flow.

    Raises:
        BrokerError: If the flow cannot be read.
    """
    place = report.place
    flow = find_flow(tx, place.queue, place.id)
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


def pack_plan(plan: Plan) -> bytes:
    """Return the plan for the task of a step, encoded."""
    lock = plan.lock or Lock(digest="", ttl_s=0)
    at_s = plan.at_s if isinstance(plan, Scheduled) else 0
    return _encode((encode(plan.message), lock.digest, lock.ttl_s, at_s))


def _read_plan(stored: bytes) -> Plan:
    data, digest, ttl_s, at_s = _decode_plan(stored)
    message, lock = decode(data), Lock(digest=digest, ttl_s=ttl_s) if ttl_s else None
    if at_s:
        return Scheduled(message=message, lock=lock, at_s=at_s)
    return Pending(message=message, lock=lock)
