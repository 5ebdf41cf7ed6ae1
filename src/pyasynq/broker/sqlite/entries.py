"""What entries of schedulers enqueue, and which of them are paused."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from pyasynq.broker.records import read_entry_task, write_entry_task
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.policy import MAX_TASKS, UNKEPT_S


class SqliteEntries:
    """The port for the control of entries."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def keep(self, tasks: Sequence[EntryTask]) -> None:
        """Store what entries enqueue, each for its *ttl_s*; their pauses last at least as long."""
        for start in range(0, len(tasks), MAX_TASKS):
            await self._store.write(partial(_keep, tasks[start : start + MAX_TASKS]))

    async def task(self, entry_id: str) -> EntryTask | None:
        """Return what an entry enqueues; None if it is not stored, or cannot be decoded."""
        sql = "SELECT task FROM pyasynq_entry WHERE id = ? AND ends > ?"
        row = await self._store.read(lambda tx: tx.row(sql, entry_id, tx.now_us))
        return None if row is None else read_entry_task(row[0])

    async def pause(self, entry_id: str, *, ttl_s: int) -> bool:
        """Pause an entry for *ttl_s* seconds, or longer if it is kept; False if it is paused."""

        def pause(tx: Transaction) -> bool:
            if _is_paused(tx, entry_id):
                return False
            row = (entry_id, None, tx.now_us + ttl_s * MICROS)
            tx.execute("INSERT OR REPLACE INTO pyasynq_pause VALUES (?, ?, ?)", row)
            return True

        return await self._store.accept(pause)

    async def resume(self, entry_id: str) -> bool:
        """Resume an entry; False if it is not paused."""

        def resume(tx: Transaction) -> bool:
            if not _is_paused(tx, entry_id):
                return False
            sql = "UPDATE pyasynq_pause SET resumed_s = ? WHERE entry = ?"
            tx.execute(sql, (tx.now_s, entry_id))
            return True

        return await self._store.accept(resume)

    async def pauses(self) -> Mapping[str, float]:
        """Return, for each entry that is or was paused, up to when its ticks are left out."""
        sql = "SELECT entry, resumed_s FROM pyasynq_pause WHERE ends > ?"
        rows = await self._store.read(lambda tx: tx.rows(sql, tx.now_us))
        return {
            entry_id: math.inf if resumed_s is None else float(resumed_s)
            for entry_id, resumed_s in rows
        }

    async def forget(self, entry_id: str) -> None:
        """Let what is known about an entry expire after `UNKEPT_S`, unless it is kept again."""

        def forget(tx: Transaction) -> None:
            ends = tx.now_us + UNKEPT_S * MICROS
            sql = "UPDATE pyasynq_entry SET ends = min(ends, ?) WHERE id = ?"
            tx.execute(sql, (ends, entry_id))
            sql = "UPDATE pyasynq_pause SET ends = min(ends, ?) WHERE entry = ?"
            tx.execute(sql, (ends, entry_id))

        await self._store.write(forget)


def _keep(tasks: Sequence[EntryTask], tx: Transaction) -> None:
    ends = [tx.now_us + task.ttl_s * MICROS for task in tasks]
    rows = [
        (task.entry_id, write_entry_task(task), end) for task, end in zip(tasks, ends, strict=True)
    ]
    tx.executemany("INSERT OR REPLACE INTO pyasynq_entry VALUES (?, ?, ?)", rows)
    sql = "UPDATE pyasynq_pause SET ends = max(ends, ?) WHERE entry = ? AND ends > ?"
    tx.executemany(
        sql, [(end, task.entry_id, tx.now_us) for task, end in zip(tasks, ends, strict=True)]
    )


def _is_paused(tx: Transaction, entry_id: str) -> bool:
    sql = "SELECT 1 FROM pyasynq_pause WHERE entry = ? AND ends > ? AND resumed_s IS NULL"
    return tx.row(sql, entry_id, tx.now_us) is not None
