"""Schedulers: their entries, last ticks and histories."""

from collections.abc import Sequence
from functools import partial

import msgspec

from pyasynq.broker.ports.schedules import EntryStart, Position
from pyasynq.broker.protobuf_records import entry_infos, entry_record, event_info, event_record
from pyasynq.broker.records import read_records
from pyasynq.broker.sqlite.creation import last_tick, store_tick
from pyasynq.broker.sqlite.schema import SCHEDULER, STATES
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.policy import (
    CREDIBLE_S,
    EARLY_S,
    FORGOTTEN_S,
    HISTORY_S,
    MAX_EVENTS,
    MAX_TASKS,
    MOST_ENDED,
)
from pyasynq.core.states import TaskState
from pyasynq.proto import asynq_pb2 as wire


class SqliteSchedules:
    """The port for schedules."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def begin(self, positions: Sequence[Position]) -> list[EntryStart | BrokerError]:
        """Return each entry's last tick; that of a new entry is *begin_s*, or now if earlier."""
        try:
            return list(
                await self._store.accept(
                    lambda tx: [_begin(tx, position) for position in positions]
                )
            )
        except BrokerError as error:
            return [error] * len(positions)

    async def clock_s(self) -> float:
        """Return this machine's clock, Unix seconds: all processes are on this machine."""
        return self._store.clock.now().timestamp()

    async def record(self, events: Sequence[tuple[str, SchedulerEvent]]) -> None:
        """Add each event to the history of the entry with the given id."""

        def record(tx: Transaction) -> None:
            ends = tx.now_us + HISTORY_S * MICROS
            rows = [
                (
                    entry_id,
                    int(event.enqueued_at.timestamp()),
                    event_record(event).SerializeToString(),
                    ends,
                )
                for entry_id, event in events
            ]
            tx.executemany("INSERT OR REPLACE INTO pyasynq_event VALUES (?, ?, ?, ?)", rows)
            sql = """DELETE FROM pyasynq_event WHERE entry = ? AND (at_s, record) <
                (SELECT at_s, record FROM pyasynq_event WHERE entry = ?
                ORDER BY at_s DESC, record DESC LIMIT 1 OFFSET ?)"""
            entries = {entry_id for entry_id, _ in events}
            tx.executemany(sql, [(entry_id, entry_id, MAX_EVENTS - 1) for entry_id in entries])
            sql = "UPDATE pyasynq_event SET ends = ? WHERE entry = ?"
            tx.executemany(sql, [(ends, entry_id) for entry_id in entries])

        await self._store.write(record)

    async def write_entries(
        self, scheduler_id: str, entries: Sequence[SchedulerEntry], *, ttl_s: int
    ) -> None:
        """Write the *entries* of a scheduler, which lives for *ttl_s* seconds more."""
        records = [entry_record(entry).SerializeToString() for entry in entries]

        def write(tx: Transaction) -> None:
            write_report(tx, SCHEDULER, scheduler_id, records, ttl_s=ttl_s)
            _forget_ended(tx)

        await self._store.write(write)

    async def clear_entries(self, scheduler_id: str) -> None:
        """Delete the written entries of a scheduler."""
        await self._store.write(lambda tx: write_report(tx, SCHEDULER, scheduler_id, [], ttl_s=0))

    async def forget(self, entry_id: str, queue: str) -> None:
        """Delete an entry's history, and let its last tick expire after `FORGOTTEN_S`."""

        def forget(tx: Transaction) -> None:
            tx.execute("DELETE FROM pyasynq_event WHERE entry = ?", (entry_id,))
            ends = tx.now_us + FORGOTTEN_S * MICROS
            sql = "UPDATE pyasynq_tick SET ends = ? WHERE queue = ? AND entry = ?"
            tx.execute(sql, (ends, tx.queue_id(queue), entry_id))

        await self._store.write(forget)

    async def entries(self) -> list[SchedulerEntry]:
        """Return the entries of all live schedulers, without those that cannot be decoded."""
        reports = await self._store.read(lambda tx: read_reports(tx, SCHEDULER))
        records = [record for report in reports for record in report]
        return list(entry_infos(read_records(wire.SchedulerEntry, records)))

    async def entries_of(self, scheduler_id: str) -> list[SchedulerEntry]:
        """Return the entries of one scheduler, also if it has ended without clearing them."""
        sql = "SELECT records FROM pyasynq_report WHERE kind = ? AND id = ?"
        rows = await self._store.read(lambda tx: tx.rows(sql, SCHEDULER, scheduler_id))
        records = [record for (packed,) in rows for record in _unpack(packed)]
        return list(entry_infos(read_records(wire.SchedulerEntry, records)))

    async def events(self, entry_id: str, *, page: int, size: int) -> list[SchedulerEvent]:
        """Return a page of an entry's enqueue events, newest first; the first page is 1."""
        sql = """SELECT record FROM pyasynq_event WHERE entry = ? AND ends > ?
            ORDER BY at_s DESC, record DESC LIMIT ? OFFSET ?"""
        rows = await self._store.read(
            lambda tx: tx.rows(sql, entry_id, tx.now_us, size, (page - 1) * size)
        )
        records = read_records(wire.SchedulerEnqueueEvent, [record for (record,) in rows])
        return [event_info(event) for event in records]

    async def states(self, tasks: Sequence[tuple[str, str]]) -> list[TaskState | None]:
        """Return the states of tasks, each with its queue and id; None if there is no such task."""
        found: list[TaskState | None] = []
        for at in range(0, len(tasks), MAX_TASKS):
            some = tasks[at : at + MAX_TASKS]
            found += await self._store.read(partial(_states, some))
        return found


def write_report(
    tx: Transaction, kind: str, report_id: str, records: Sequence[bytes], *, ttl_s: int
) -> None:
    """Write what a server or scheduler reports for *ttl_s* seconds; with 0 delete it."""
    if ttl_s:
        row = (kind, report_id, msgspec.msgpack.encode(records), tx.now_us + ttl_s * MICROS)
        tx.execute("INSERT OR REPLACE INTO pyasynq_report VALUES (?, ?, ?, ?)", row)
    else:
        tx.execute("DELETE FROM pyasynq_report WHERE kind = ? AND id = ?", (kind, report_id))


def read_reports(tx: Transaction, kind: str) -> list[list[bytes]]:
    """Return the records of each report that has not expired."""
    sql = "SELECT records FROM pyasynq_report WHERE kind = ? AND ends > ? ORDER BY id"
    rows = tx.rows(sql, kind, tx.now_us)
    return [_unpack(records) for (records,) in rows]


def _forget_ended(tx: Transaction) -> None:
    """Delete the entries of schedulers that have ended, except for the last `MOST_ENDED`."""
    sql = """DELETE FROM pyasynq_report WHERE kind = ? AND ends <= (
        SELECT ends FROM pyasynq_report WHERE kind = ? AND ends <= ?
        ORDER BY ends DESC LIMIT 1 OFFSET ?)"""
    tx.execute(sql, (SCHEDULER, SCHEDULER, tx.now_us, MOST_ENDED))


def _unpack(records: bytes) -> list[bytes]:
    return msgspec.msgpack.decode(records, type=list[bytes])


def _states(tasks: Sequence[tuple[str, str]], tx: Transaction) -> list[TaskState | None]:
    numbers = {queue: tx.queue_id(queue) for queue, _ in tasks}
    sql = "SELECT state FROM pyasynq_task WHERE queue = ? AND id = ?"
    rows = [tx.row(sql, numbers[queue], task_id) for queue, task_id in tasks]
    return [None if row is None else STATES[row[0]] for row in rows]


def _begin(tx: Transaction, position: Position) -> EntryStart:
    queue = tx.register(position.queue)
    first = position.begin_s if position.begin_s <= tx.now_s + EARLY_S else tx.now_s
    known = last_tick(tx, queue, position.entry_id)
    rejected_s = known if known is not None and known > tx.now_s + CREDIBLE_S else None
    credible = known is not None and rejected_s is None
    last_s = known if known is not None and credible else first
    store_tick(tx, queue, position.entry_id, last_s, position.ttl_s)
    return EntryStart(last_s=last_s, known=credible, rejected_s=rejected_s)
