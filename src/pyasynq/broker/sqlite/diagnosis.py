"""Check what may be wrong with the file."""

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from stat import S_IMODE

from pyasynq.broker.ports.diagnosis import Heartbeat, NodeReport, SlowLog
from pyasynq.broker.sqlite.connection import free_bytes, name_of, network_filesystem
from pyasynq.broker.sqlite.files import log_of
from pyasynq.broker.sqlite.schema import SCHEDULER, SERVER
from pyasynq.broker.sqlite.store import RESERVE_BYTES, Store, Transaction
from pyasynq.broker.sqlite.tasks import MICROS
from pyasynq.broker.sqlite_url import SqliteAddress


class SqliteDiagnosis:
    """The port for a diagnosis."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def nodes(self) -> Sequence[NodeReport]:
        """Return one report: the version of SQLite, and what it says about the file.

        Its sizes are in bytes. A memory has no ``mode`` and what follows it.
        """
        started = time.perf_counter()
        pages, size, free = await self._store.read(_pages)
        address = self._store.database.address
        info = {
            "sqlite_version": sqlite3.sqlite_version,
            "file": name_of(address),
            "size": str(pages * size),
            "free": str(free * size),
        }
        if address.path is not None:
            info |= _describe(address.path)
        return [
            NodeReport(
                address="",
                info=info,
                settings={"synchronous": _synchronous(address)},
                offset_s=0.0,
                round_trip_s=time.perf_counter() - started,
            )
        ]

    async def slow_logs(self, most: int) -> Sequence[SlowLog]:
        """Return nothing: SQLite keeps no list of slow statements."""
        return ()

    async def forbidden(self) -> Mapping[str, str]:
        """Return nothing: who may write the file may do everything."""
        return {}

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the records of all servers, in the order in which they expire."""
        return await self._heartbeats(SERVER)

    async def schedulers(self) -> Sequence[Heartbeat]:
        """Return the records of all schedulers, in the order in which they expire."""
        return await self._heartbeats(SCHEDULER)

    async def _heartbeats(self, kind: str) -> Sequence[Heartbeat]:
        sql = "SELECT id, ends FROM pyasynq_report WHERE kind = ? ORDER BY ends"

        def read(tx: Transaction) -> list[Heartbeat]:
            return [
                Heartbeat(server=name, left_s=(ends - tx.now_us) / MICROS)
                for name, ends in tx.rows(sql, kind)
            ]

        return await self._store.read(read)


def _pages(tx: Transaction) -> tuple[int, int, int]:
    ((pages,),) = tx.rows("PRAGMA page_count")
    ((size,),) = tx.rows("PRAGMA page_size")
    ((free,),) = tx.rows("PRAGMA freelist_count")
    return pages, size, free


def _describe(path: Path) -> dict[str, str]:
    """Return the rights of the file, what is beside it, and the disk that it is on."""
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    return {
        "mode": f"{S_IMODE(path.stat().st_mode):03o}",
        "writable": "yes" if may_write else "no",
        "log_size": str(_log_size(path)),
        "network_filesystem": network_filesystem(path),
        "disk_free": str(free_bytes(path)),
        "disk_reserve": str(RESERVE_BYTES),
    }


def _log_size(path: Path) -> int:
    log = log_of(path)
    return log.stat().st_size if log.exists() else 0


def _synchronous(address: SqliteAddress) -> str:
    if address.path is None:
        return "off"
    if not address.sync_new:
        return "normal"
    return "full" if address.sync_work else "accept"
