"""Take tasks from one broker to another."""

import math
from collections.abc import Sequence
from functools import partial

import msgspec

from pyasynq.broker.ports.creation import Refusal
from pyasynq.broker.ports.inspection import Container
from pyasynq.broker.ports.transfers import TaskCopy
from pyasynq.broker.records import read_message
from pyasynq.broker.sqlite.read import in_container
from pyasynq.broker.sqlite.schema import NUMBERS, PENDING
from pyasynq.broker.sqlite.store import Row, Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS, next_place, read_attempts
from pyasynq.broker.sqlite.wake import pending_topic
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.message import encode
from pyasynq.core.policy import MAX_BYTES
from pyasynq.core.states import TaskState


class SqliteTransfers:
    """The port for transfers."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def read(self, container: Container, start: int, count: int) -> list[TaskCopy | None]:
        """Return tasks of *container* in order, after skipping the first *start*."""
        return await self._store.read(partial(_read, container, start, count))

    async def write(self, container: Container, tasks: Sequence[TaskCopy]) -> list[Refusal | None]:
        """Store *tasks* in *container*, with their locks; a pending one behind all others."""
        return await self._store.accept(partial(_write, container, tasks))


def _read(container: Container, start: int, count: int, tx: Transaction) -> list[TaskCopy | None]:
    queue = tx.queue_id(container.queue)
    where, values = in_container(container, queue, NUMBERS[container.state])
    sql = f"""SELECT t.id, t.message, t.at, t.group_name, t.result, t.attempts FROM pyasynq_task t
        WHERE {where} ORDER BY t.at, t.seq LIMIT ? OFFSET ?"""
    copies: list[TaskCopy | None] = []
    left = MAX_BYTES
    for row in tx.execute(sql, (*values, count, start)):
        copies.append(_copy(tx, queue, container, row))
        left -= len(row[1]) + len(row[4] or b"") + len(row[5] or b"")
        if left <= 0:
            break
    return copies


def _copy(tx: Transaction, queue: int | None, container: Container, row: Row) -> TaskCopy | None:
    task_id, data, at, group, result, attempts = row
    message, is_sound = read_message(container.queue, task_id.encode(), data)
    if not is_sound:
        return None
    sql = "SELECT ends FROM pyasynq_lock WHERE queue = ? AND name = ? AND task_id = ?"
    lock = tx.row(sql, queue, message.unique_key, task_id)
    return TaskCopy(
        message=message,
        at_s=0 if container.state is TaskState.PENDING else math.ceil(at / MICROS),
        group=group,
        lock_s=0.0 if lock is None else max(0, lock[0] - tx.now_us) / MICROS,
        result=result,
        attempts=read_attempts(attempts),
    )


def _write(
    container: Container, tasks: Sequence[TaskCopy], tx: Transaction
) -> list[Refusal | None]:
    queue = tx.register(container.queue)
    state = NUMBERS[container.state]
    place = next_place(tx, queue)
    answers: list[Refusal | None] = []
    for n, task in enumerate(tasks):
        at = place + n if state == PENDING else task.at_s * MICROS
        refusal = _refusal(tx, queue, task)
        answers.append(refusal)
        if refusal is None:
            group = container.group or task.group
            message = task.message
            attempts = msgspec.msgpack.encode(task.attempts) if task.attempts else None
            row = (queue, message.id, state, at, encode(message), group, task.result, attempts)
            sql = """INSERT INTO pyasynq_task
                (queue, id, state, at, message, group_name, result, attempts)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
            tx.execute(sql, row)
    if state == PENDING:
        tx.changed.add(pending_topic(container.queue))
    return answers


def _refusal(tx: Transaction, queue: int, task: TaskCopy) -> Refusal | None:
    """Take the lock of a task; return why it cannot be stored, or None if it can."""
    message = task.message
    sql = "SELECT 1 FROM pyasynq_task WHERE queue = ? AND id = ?"
    if tx.row(sql, queue, message.id) is not None:
        return TaskIDConflictError(message.queue, message.id)
    if task.lock_s <= 0 or not message.unique_key:
        return None
    sql = "SELECT 1 FROM pyasynq_lock WHERE queue = ? AND name = ? AND ends > ?"
    if tx.row(sql, queue, message.unique_key, tx.now_us) is not None:
        return DuplicateTaskError(message.queue, message.type)
    row = (queue, message.unique_key, message.id, tx.now_us + int(task.lock_s * MICROS))
    tx.execute("INSERT OR REPLACE INTO pyasynq_lock VALUES (?, ?, ?, ?)", row)
    return None
