"""The receipts of an outbox's rows; `creation` writes them."""

from collections.abc import Sequence

from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS


class SqliteReceipts:
    """The port for receipts."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def expire(self, rows: Sequence[tuple[str, str]], *, ttl_s: int) -> None:
        """Let the receipts of *rows* (queue and row id) expire *ttl_s* seconds from now."""

        def expire(tx: Transaction) -> None:
            ends = tx.now_us + ttl_s * MICROS
            sql = "UPDATE pyasynq_receipt SET ends = ? WHERE queue = ? AND row = ?"
            tx.executemany(sql, [(ends, tx.queue_id(queue), row) for queue, row in rows])

        await self._store.write(expire)
