"""Create tasks."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from pyasynq.broker.ports.creation import (
    Created,
    NewTask,
    NotCreated,
    Receipt,
    Refusal,
    ReplacesSet,
    Tick,
    TickResult,
)
from pyasynq.broker.sqlite.schema import AGGREGATING, HELD, PENDING, SCHEDULED, STAGED
from pyasynq.broker.sqlite.store import Row, Store, Transaction, marks
from pyasynq.broker.sqlite.tasks import MICROS, delete, next_place
from pyasynq.broker.sqlite.wake import pending_topic
from pyasynq.core.compose import Grouped, Lock, Pending, Plan, Scheduled
from pyasynq.core.errors import (
    BrokerError,
    DuplicateTaskError,
    PyasynqError,
    TaskIDConflictError,
)
from pyasynq.core.message import TaskMessage, encode, unique_key
from pyasynq.core.policy import CREDIBLE_S, EARLY_S, MAX_BYTES

MAX_NEW: Final = 256
"""Tasks of one transaction: what `Client.enqueue_many` writes at once needs a single sync."""

INSERT: Final = """INSERT INTO pyasynq_task(queue, id, state, at, message, group_name, set_id)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""


class SqliteCreation:
    """The creation port: one transaction for each batch, whatever its queues are."""

    apart = False

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Create each of *tasks* if its guard allows it; return the answers in order."""
        answers: list[Created] = []
        for batch in _batches(tasks):
            try:
                answers += await self._store.accept(partial(_create_batch, batch))
            except BrokerError as error:
                answers += [error] * len(batch)
            if len(answers) < len(tasks):
                await asyncio.sleep(0)
        return answers


def create(tx: Transaction, tasks: Sequence[NewTask]) -> list[Created]:
    """Create *tasks*, all or none; see `SqliteCreation.create`."""
    batch = _Batch(tx, tasks)
    answers = [batch.answer(task) for task in tasks]
    batch.insert()
    return answers


def stage(tx: Transaction, plans: Sequence[Plan], batch_id: str) -> None:
    """Create tasks that nobody takes before the batch is released.

    Raises:
        TaskIDConflictError: If one of the ids is taken.
        DuplicateTaskError: If one of the locks is held.
    """
    batch = _Batch(tx, [NewTask(plan) for plan in plans], batch_id)
    for plan in plans:
        answer = batch.answer(NewTask(plan))
        if isinstance(answer, PyasynqError):
            raise answer
    batch.insert()


def _create_batch(tasks: Sequence[NewTask], tx: Transaction) -> list[Created]:
    return create(tx, tasks)


def _batches(tasks: Sequence[NewTask]) -> Iterator[Sequence[NewTask]]:
    start = size = 0
    for at, task in enumerate(tasks):
        size += task.plan.message.ByteSize()
        if at - start == MAX_NEW - 1 or size >= MAX_BYTES:
            yield tasks[start : at + 1]
            start, size = at + 1, 0
    if start < len(tasks):
        yield tasks[start:]


class _Batch:
    """The tasks of one transaction; their rows are inserted together at its end."""

    def __init__(
        self, tx: Transaction, tasks: Sequence[NewTask], batch_id: str | None = None
    ) -> None:
        """Create *tasks*; if they belong to a batch, hold them until it is released."""
        self._tx = tx
        self._batch_id = batch_id
        self._rows: list[Row] = []
        self._queues: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._taken: dict[str, set[str]] = {}
        ids: dict[str, list[str]] = {}
        for task in tasks:
            ids.setdefault(task.plan.message.queue, []).append(task.plan.message.id)
        for name, some in ids.items():
            queue = self._queues[name] = tx.register(name)
            sql = f"SELECT id FROM pyasynq_task WHERE queue = ? AND id IN ({marks(len(some))})"
            self._taken[name] = {task_id for (task_id,) in tx.execute(sql, (queue, *some))}

    def insert(self) -> None:
        self._tx.executemany(INSERT, self._rows)

    def answer(self, task: NewTask) -> Created:
        """Create *task* if its guard allows it."""
        match task.guard:
            case None:
                return self._create(task)
            case Receipt():
                return self._create_once(task, task.guard)
            case Tick():
                return self._create_tick(task, task.guard)
            case ReplacesSet():
                return self._replace_set(task, task.guard)

    def _create(self, task: NewTask, replaced: str | None = None) -> Refusal | None:
        plan, message = task.plan, task.plan.message
        name = message.queue
        taken = self._taken[name]
        if message.id in taken:
            return TaskIDConflictError(name, message.id)
        if plan.lock is not None and not self._lock(message, plan.lock, replaced):
            return DuplicateTaskError(name, message.type)
        taken.add(message.id)
        group = None if isinstance(plan, Pending) else message.group_key or None
        state, at = self._state_of(plan)
        row = (self._queues[name], message.id, state, at, encode(message), group, self._batch_id)
        self._rows.append(row)
        return None

    def _state_of(self, plan: Plan) -> tuple[int, int]:
        """Return the state of the task, and its place or time there; see `schema` for held ones."""
        if self._batch_id is not None:
            return HELD, plan.at_s * MICROS if isinstance(plan, Scheduled) else 0
        match plan:
            case Pending():
                return PENDING, self._place(plan.message.queue)
            case Scheduled():
                return SCHEDULED, plan.at_s * MICROS
            case Grouped():
                return AGGREGATING, self._tx.now_us

    def _place(self, name: str) -> int:
        """Return the next place in a queue, and have its workers woken."""
        place = self._places.get(name)
        if place is None:
            place = next_place(self._tx, self._queues[name])
            self._tx.changed.add(pending_topic(name))
        self._places[name] = place + 1
        return place

    def _lock(self, message: TaskMessage, lock: Lock, replaced: str | None) -> bool:
        """Take the lock, if need be from a task of the set that the new task replaces."""
        tx, queue = self._tx, self._queues[message.queue]
        key = unique_key(message.queue, message.type, lock.digest)
        sql = "SELECT task_id FROM pyasynq_lock WHERE queue = ? AND name = ? AND ends > ?"
        holder = tx.row(sql, queue, key, tx.now_us)
        if holder is not None:
            sql = "SELECT 1 FROM pyasynq_task WHERE queue = ? AND id = ? AND set_id = ?"
            if replaced is None or tx.row(sql, queue, holder[0], replaced) is None:
                return False
        message.unique_key = key
        row = (queue, key, message.id, tx.now_us + lock.ttl_s * MICROS)
        tx.execute("INSERT OR REPLACE INTO pyasynq_lock VALUES (?, ?, ?, ?)", row)
        return True

    def _create_once(self, task: NewTask, guard: Receipt) -> Refusal | NotCreated | None:
        tx, queue = self._tx, self._queues[task.plan.message.queue]
        sql = "SELECT 1 FROM pyasynq_receipt WHERE queue = ? AND row = ? AND ends > ?"
        if tx.row(sql, queue, guard.row, tx.now_us) is not None:
            return NotCreated()
        refusal = self._create(task)
        if refusal is None:
            row = (queue, guard.row, tx.now_us + guard.ttl_s * MICROS)
            tx.execute("INSERT OR REPLACE INTO pyasynq_receipt VALUES (?, ?, ?)", row)
        return refusal

    def _create_tick(self, task: NewTask, guard: Tick) -> TickResult:
        tx, queue = self._tx, self._queues[task.plan.message.queue]
        before, rejected = last_tick(tx, queue, guard.entry_id), None
        if before is not None and before > tx.now_s + CREDIBLE_S:
            before, rejected = None, before
        if before is not None and before != guard.known_s:
            return TickResult(last_s=before, moved=False)
        if guard.at_s > tx.now_s + EARLY_S:
            return TickResult(last_s=guard.known_s, moved=False, clock_s=tx.now_us / MICROS)
        refusal = self._create(task)
        store_tick(tx, queue, guard.entry_id, guard.at_s, guard.ttl_s)
        return TickResult(last_s=guard.at_s, moved=True, refusal=refusal, rejected_s=rejected)

    def _replace_set(self, task: NewTask, guard: ReplacesSet) -> Refusal | NotCreated | None:
        tx, queue, set_id = self._tx, self._queues[task.plan.message.queue], guard.group_set.id
        if tx.row("SELECT 1 FROM pyasynq_set WHERE id = ? AND queue = ?", set_id, queue) is None:
            return NotCreated()
        refusal = self._create(task, replaced=set_id)
        if refusal is None:
            sql = f"SELECT seq, id, message FROM pyasynq_task WHERE set_id = ? AND state = {STAGED}"
            delete(tx, queue, tx.rows(sql, set_id))
            tx.execute("DELETE FROM pyasynq_set WHERE id = ?", (set_id,))
        return refusal


def last_tick(tx: Transaction, queue: int, entry_id: str) -> int | None:
    """Return the last tick of an entry, Unix seconds; None if it is not known."""
    sql = "SELECT last_s FROM pyasynq_tick WHERE queue = ? AND entry = ? AND ends > ?"
    found = tx.row(sql, queue, entry_id, tx.now_us)
    return None if found is None else found[0]


def store_tick(tx: Transaction, queue: int, entry_id: str, last_s: int, ttl_s: int) -> None:
    """Make *last_s* the last tick of an entry for *ttl_s* seconds."""
    row = (queue, entry_id, last_s, tx.now_us + ttl_s * MICROS)
    tx.execute("INSERT OR REPLACE INTO pyasynq_tick VALUES (?, ?, ?, ?)", row)
