"""Read and change a queue in a SQLite file without the library's own code."""

import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyasynq.core.message import TaskMessage, decode
from tests.support.queue_view import DELAYED, QueueView

STATES = {
    "pending": 2,
    "active": 3,
    "scheduled": 4,
    "retry": 5,
    "archived": 6,
    "completed": 7,
    "aggregating": 8,
}
STAGED = 9
"""The numbers of the states in a file; a staged task is aggregating, too, but in a set."""

NAMES = {number: name for name, number in STATES.items()} | {STAGED: "aggregating"}

MICROS = 1_000_000


class SqliteQueue(QueueView):
    """One queue, as a file stores it; a broker has made the tables before."""

    def __init__(self, path: Path, name: str = "default") -> None:
        """Read and change the queue *name* in the file *path*."""
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        self._name = name

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a statement, in which ``:q`` is the number of the queue."""
        found = self._connection.execute(
            "SELECT id FROM pyasynq_queue WHERE name = ?", (self._name,)
        ).fetchone()
        queue = -1 if found is None else found[0]
        return self._connection.execute(sql.replace(":q", str(queue)), values).fetchall()

    # -- read

    async def ids(self, state: str) -> list[str]:
        sql = "SELECT id FROM pyasynq_task WHERE queue = :q AND state = ? ORDER BY at, seq"
        return _column(self.rows(sql, STATES[state]))

    async def members(self, group: str) -> list[str]:
        sql = """SELECT id FROM pyasynq_task WHERE queue = :q AND state = 8 AND group_name = ?
            ORDER BY at, seq"""
        return _column(self.rows(sql, group))

    async def leased_ids(self) -> list[str]:
        sql = """SELECT t.id FROM pyasynq_lease l JOIN pyasynq_task t USING (seq)
            WHERE l.queue = :q ORDER BY l.ends, l.seq"""
        return _column(self.rows(sql))

    async def state_of(self, task_id: str) -> str | None:
        found = self._column_of(task_id, "state")
        return None if found is None else NAMES[found]

    async def message(self, task_id: str) -> TaskMessage:
        return decode(self._column_of(task_id, "message"))

    async def result(self, task_id: str) -> bytes | None:
        return self._column_of(task_id, "result")

    async def crashes(self, task_id: str) -> int:
        return self._column_of(task_id, "crashes") or 0

    async def due_at(self, task_id: str) -> float | None:
        is_delayed = await self.state_of(task_id) in DELAYED
        return self._column_of(task_id, "at") / MICROS if is_delayed else None

    async def lease_end(self, task_id: str) -> float | None:
        sql = """SELECT l.ends FROM pyasynq_lease l JOIN pyasynq_task t USING (seq)
            WHERE t.queue = :q AND t.id = ?"""
        found = self.rows(sql, task_id)
        return found[0][0] / MICROS if found else None

    async def count(self, what: str) -> int:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        total = self.rows(f"SELECT {what} FROM pyasynq_queue WHERE id = :q")
        today = self.rows(f"SELECT {what} FROM pyasynq_day WHERE queue = :q AND day = ?", day)
        assert (total or [(0,)]) == (today or [(0,)])
        return total[0][0] if total else 0

    # -- change

    async def make_due(self, *ids: str) -> None:
        for number, task_id in enumerate(ids, 1):
            state = await self.state_of(task_id)
            assert state in DELAYED, (task_id, state)
            self._set(task_id, at=number)

    async def end_leases(self, *, ago_s: float = 31) -> None:
        ends = int((time.time() - ago_s) * MICROS)
        self.rows("UPDATE pyasynq_lease SET ends = ? WHERE queue = :q", ends)

    async def end_lease(self, task_id: str) -> None:
        sql = f"UPDATE pyasynq_lease SET ends = 1 WHERE seq = ({_SEQ})"
        self.rows(sql, task_id)

    async def lose_lease(self, task_id: str) -> None:
        """End the lease of a task: an active task always has one."""
        await self.end_lease(task_id)

    async def take_over(self, task_id: str) -> None:
        sql = f"UPDATE pyasynq_lease SET owner = 'somebody else' WHERE seq = ({_SEQ})"
        self.rows(sql, task_id)

    async def put_poison(self, task_id: bytes, message: bytes | None) -> None:
        """Make a task the next to run; there is no id without a message."""
        assert message is not None
        first = "SELECT coalesce(min(at), 1) - 1 FROM pyasynq_task WHERE queue = :q AND state = 2"
        sql = f"""INSERT INTO pyasynq_task(queue, id, state, at, message)
            VALUES (:q, ?, 2, ({first}), ?)"""
        self.rows(sql, task_id.decode(), message)

    async def corrupt(self, task_id: str) -> None:
        self._set(task_id, message=b"\xff")

    async def pause(self) -> None:
        self.rows("UPDATE pyasynq_queue SET paused_s = 1 WHERE id = :q")

    async def resume(self) -> None:
        self.rows("UPDATE pyasynq_queue SET paused_s = NULL WHERE id = :q")

    def _column_of(self, task_id: str, column: str) -> Any:  # noqa: ANN401 - of any type
        sql = f"SELECT {column} FROM pyasynq_task WHERE queue = :q AND id = ?"
        found = self.rows(sql, task_id)
        return found[0][0] if found else None

    def _set(self, task_id: str, **values: object) -> None:
        for column, value in values.items():
            sql = f"UPDATE pyasynq_task SET {column} = ? WHERE queue = :q AND id = ?"
            self.rows(sql, value, task_id)


_SEQ = "SELECT seq FROM pyasynq_task WHERE queue = :q AND id = ?"


def _column(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return [value for (value,) in rows]
