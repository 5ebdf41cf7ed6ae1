"""Check what may be wrong with the file."""

import sqlite3
import time
from collections.abc import Mapping, Sequence

from pyasynq.broker.ports.diagnosis import Heartbeat, NodeReport
from pyasynq.broker.sqlite.connection import name_of
from pyasynq.broker.sqlite.registry import KIND
from pyasynq.broker.sqlite.store import Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS


class SqliteDiagnosis:
    """The port for a diagnosis."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def nodes(self) -> Sequence[NodeReport]:
        """Return one report: the version of SQLite, and the size of the file."""
        started = time.perf_counter()
        pages, size, free = await self._store.read(_pages)
        info = {
            "sqlite_version": sqlite3.sqlite_version,
            "file": name_of(self._store.database.address),
            "size": str(pages * size),
            "free": str(free * size),
        }
        return [
            NodeReport(
                address="",
                info=info,
                settings={},
                offset_s=0.0,
                round_trip_s=time.perf_counter() - started,
            )
        ]

    async def forbidden(self) -> Mapping[str, str]:
        """Return nothing: who may write the file may do everything."""
        return {}

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the records of all servers, in the order in which they expire."""
        sql = "SELECT id, ends FROM pyasynq_report WHERE kind = ? ORDER BY ends"

        def read(tx: Transaction) -> list[Heartbeat]:
            return [
                Heartbeat(server=name, left_s=(ends - tx.now_us) / MICROS)
                for name, ends in tx.rows(sql, KIND)
            ]

        return await self._store.read(read)


def _pages(tx: Transaction) -> tuple[int, int, int]:
    ((pages,),) = tx.rows("PRAGMA page_count")
    ((size,),) = tx.rows("PRAGMA page_size")
    ((free,),) = tx.rows("PRAGMA freelist_count")
    return pages, size, free
