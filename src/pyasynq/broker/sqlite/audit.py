"""The audit: a table with a limit."""

from collections.abc import Sequence

import msgspec

from pyasynq.broker.ports.audit import AuditEntry, decode_entry
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.core.policy import MAX_AUDIT


class SqliteAudit:
    """The port for the audit."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def write(self, entry: AuditEntry) -> None:
        """Write one action."""
        record = msgspec.json.encode(entry)

        def write(tx: Transaction) -> None:
            tx.execute("INSERT INTO pyasynq_audit(entry) VALUES (?)", (record,))
            sql = """DELETE FROM pyasynq_audit
                WHERE seq <= (SELECT max(seq) FROM pyasynq_audit) - ?"""
            tx.execute(sql, (MAX_AUDIT,))

        await self._store.write(write)

    async def read(self, before: str | None, count: int) -> Sequence[tuple[str, AuditEntry]]:
        """Return up to *count* actions with their ids, the newest first."""
        sql = """SELECT seq, entry FROM pyasynq_audit WHERE ? IS NULL OR seq < ?
            ORDER BY seq DESC LIMIT ?"""
        # An id that Redis gave has two parts.
        seq = None if before is None else int(before.partition("-")[0])
        rows = await self._store.read(lambda tx: tx.rows(sql, seq, seq, count))
        return [(str(seq), decode_entry(record)) for seq, record in rows]
