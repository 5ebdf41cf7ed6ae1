"""The inspection port: read queues, move tasks by hand, remove queues."""

import asyncio
from collections.abc import Sequence
from functools import partial

from pyasynq.broker.ports.inspection import (
    Container,
    Deleted,
    Move,
    Progress,
    RemoveResult,
    StoredTask,
    UpdateResult,
)
from pyasynq.broker.sqlite.read import SqliteRead, find_task, rows_in
from pyasynq.broker.sqlite.schema import ARCHIVED, STATES
from pyasynq.broker.sqlite.store import Row, Transaction
from pyasynq.broker.sqlite.tasks import FORGET_RUN_HISTORY, MICROS, append, delete, trim_archive
from pyasynq.broker.sqlite.upkeep import empty_removed
from pyasynq.broker.sqlite.wake import pending_topic
from pyasynq.core.message import TaskMessage, encode
from pyasynq.core.policy import MAX_BULK, MAX_TASKS
from pyasynq.core.states import Action

LEFT_GROUP = "group_name = NULL"


class SqliteInspection(SqliteRead):
    """All that an inspector needs."""

    async def pause(self, queue: str, *, paused: bool) -> bool:
        """Pause or resume *queue*; False if it is in that state already."""

        def pause(tx: Transaction) -> bool:
            number = tx.register(queue)
            if not paused:
                tx.changed.add(pending_topic(queue))
            sql = f"""UPDATE pyasynq_queue SET paused_s = ?
                WHERE id = ? AND paused_s IS {"" if paused else "NOT"} NULL"""
            return tx.execute(sql, (tx.now_s if paused else None, number)).rowcount > 0

        return await self._store.accept(pause)

    async def apply(self, action: Move, container: Container, which: Sequence[str] | int) -> int:
        """Run, archive or delete tasks of *container*; return how many were there."""
        wanted = max(0, min(which, MAX_BULK)) if isinstance(which, int) else which

        def apply(tx: Transaction) -> int:
            queue = tx.queue_id(container.queue)
            tasks = [] if queue is None else rows_in(tx, container, wanted)
            if queue is not None and tasks:
                _apply(action, tx, queue, container.queue, tasks)
            return len(tasks)

        return await self._store.accept(apply)

    async def delete_errors(
        self, container: Container, text: str, start: int, count: int
    ) -> Deleted:
        """Delete the tasks whose last error contains *text*, in upper or lower case."""
        found = await self.find_errors(container, text, start, count)
        deleted = await self.apply(Action.DELETE, container, found.ids) if found.ids else 0
        return Deleted(deleted=deleted, looked_at=found.looked_at)

    async def update(self, found: StoredTask, change: TaskMessage | int) -> UpdateResult:
        """Give the task another message, or another time."""
        if isinstance(change, int):
            return await self._store.accept(partial(_reschedule, found, change))
        return await self._store.accept(partial(_update, found, change))

    async def remove(
        self, queue: str, *, force: bool, progress: Progress | None = None
    ) -> RemoveResult:
        """Remove *queue*; a queue with tasks only with *force*.

        It is gone at once. Its tasks are deleted in steps, by `trim` if this call is interrupted.
        """
        number = await self._store.accept(partial(_take_name, queue, force=force))
        if isinstance(number, RemoveResult):
            return number
        deleted = 0
        while step := await self._store.write(lambda tx: empty_removed(tx, number, MAX_BULK)):
            deleted += step
            if progress is not None:
                progress(deleted)
            await asyncio.sleep(0)
        return RemoveResult.DONE


def _take_name(queue: str, tx: Transaction, *, force: bool) -> int | RemoveResult:
    """Take the name from a queue and return its number, or why the queue must stay."""
    number = tx.register(queue)
    if tx.row("SELECT 1 FROM pyasynq_lease WHERE queue = ? LIMIT 1", number) is not None:
        return RemoveResult.ACTIVE
    has_tasks = tx.row("SELECT 1 FROM pyasynq_task WHERE queue = ? LIMIT 1", number) is not None
    sql = "SELECT 1 FROM pyasynq_flow WHERE queue = ? AND ended_s = 0 LIMIT 1"
    if not force and (has_tasks or tx.row(sql, number) is not None):
        return RemoveResult.NOT_EMPTY
    tx.execute("UPDATE pyasynq_queue SET name = NULL WHERE id = ?", (number,))
    return number


def _apply(action: Move, tx: Transaction, queue: int, name: str, tasks: Sequence[Row]) -> None:
    seqs = [seq for seq, _, _ in tasks]
    match action:
        case Action.RUN:
            append(tx, queue, name, seqs, also=f", {LEFT_GROUP}, {FORGET_RUN_HISTORY}")
        case Action.ARCHIVE:
            for _ in range(len(tasks) // MAX_TASKS + 1):
                trim_archive(tx, queue, incoming=len(tasks))
            sql = f"UPDATE pyasynq_task SET state = {ARCHIVED}, at = ?, {LEFT_GROUP} WHERE seq = ?"
            tx.executemany(sql, [(tx.now_us, seq) for seq in seqs])
        case Action.DELETE:
            delete(tx, queue, tasks)


def _reschedule(found: StoredTask, at_s: int, tx: Transaction) -> UpdateResult:
    row = find_task(tx, found.container.queue, found.id)
    if row is None or STATES[row.state] is not found.container.state:
        return UpdateResult.CHANGED
    sql = "UPDATE pyasynq_task SET at = ? WHERE seq = ?"
    tx.execute(sql, (at_s * MICROS, row.seq))
    return UpdateResult.DONE


def _update(found: StoredTask, revised: TaskMessage, tx: Transaction) -> UpdateResult:
    queue = tx.queue_id(found.container.queue)
    row = find_task(tx, found.container.queue, found.id)
    if row is None or queue is None or (row.seq, row.state, row.message) != found.version:
        return UpdateResult.CHANGED
    old = "" if found.message is None else found.message.unique_key
    new = revised.unique_key
    if new != old and not _move_lock(tx, queue, found.id, old, new):
        return UpdateResult.LOCKED
    sql = "UPDATE pyasynq_task SET message = ? WHERE seq = ?"
    tx.execute(sql, (encode(revised), row.seq))
    return UpdateResult.DONE


def _move_lock(tx: Transaction, queue: int, task_id: str, old: str, new: str) -> bool:
    """Rename the lock of a task if the task holds it; False if another task holds the new one."""
    where = "queue = ? AND name = ?"
    sql = f"SELECT 1 FROM pyasynq_lock WHERE {where} AND task_id = ? AND ends > ?"
    if tx.row(sql, queue, old, task_id, tx.now_us) is None:
        return True
    sql = f"SELECT 1 FROM pyasynq_lock WHERE {where} AND ends > ?"
    if tx.row(sql, queue, new, tx.now_us) is not None:
        return False
    tx.execute(f"DELETE FROM pyasynq_lock WHERE {where}", (queue, new))
    tx.execute(f"UPDATE pyasynq_lock SET name = ? WHERE {where}", (new, queue, old))
    return True
