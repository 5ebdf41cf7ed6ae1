"""Counts and durations of runs, minute by minute."""

from collections.abc import Mapping, Sequence

import msgspec

from pyasynq.broker.ports.history import CountedSpan
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.core.run_stats import KEPT_S, MOST_TYPES, Counts, add_counts


class SqliteHistory:
    """The port for the history of runs; a row holds all types of a span."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def add(self, queue: str, types: Mapping[str, Counts]) -> None:
        """Add counts to the present minute and to the present ten minutes of *queue*."""

        def add(tx: Transaction) -> None:
            for length_s, kept_s in KEPT_S.items():
                _add(tx, queue, types, length_s)
                sql = "DELETE FROM pyasynq_runs WHERE length_s = ? AND start_s < ?"
                tx.execute(sql, (length_s, tx.now_s - kept_s))

        await self._store.write(add)

    async def read(self, queue: str, *, length_s: int, start_s: int) -> Sequence[CountedSpan]:
        """Return the spans with this length that end after *start_s*."""
        sql = """SELECT start_s, types FROM pyasynq_runs
            WHERE length_s = ? AND queue = ? AND start_s > ? ORDER BY start_s"""
        rows = await self._store.read(
            lambda tx: tx.rows(sql, length_s, tx.queue_id(queue), start_s - length_s)
        )
        return [CountedSpan(start_s=start, types=_decode(types)) for start, types in rows]


def _add(tx: Transaction, name: str, added: Mapping[str, Counts], length_s: int) -> None:
    queue, start_s = tx.register(name), tx.now_s - tx.now_s % length_s
    sql = "SELECT types FROM pyasynq_runs WHERE length_s = ? AND queue = ? AND start_s = ?"
    row = tx.row(sql, length_s, queue, start_s)
    types = {} if row is None else _decode(row[0])
    add_counts(types, added, MOST_TYPES)
    values = (length_s, queue, start_s, msgspec.msgpack.encode(types))
    tx.execute("INSERT OR REPLACE INTO pyasynq_runs VALUES (?, ?, ?, ?)", values)


def _decode(types: bytes) -> dict[str, list[int]]:
    return msgspec.msgpack.decode(types, type=dict[str, list[int]])
