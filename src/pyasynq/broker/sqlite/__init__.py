"""The SQLite broker: one file, or the memory of a process; all code that knows SQLite is here."""

import atexit
from typing import Final

from pyasynq.broker import ports
from pyasynq.broker.sqlite.audit import SqliteAudit
from pyasynq.broker.sqlite.backup import SqliteBackup
from pyasynq.broker.sqlite.batches import SqliteBatches
from pyasynq.broker.sqlite.control import SqliteControl
from pyasynq.broker.sqlite.creation import SqliteCreation
from pyasynq.broker.sqlite.diagnosis import SqliteDiagnosis
from pyasynq.broker.sqlite.entries import SqliteEntries
from pyasynq.broker.sqlite.flows import SqliteFlows
from pyasynq.broker.sqlite.groups import SqliteGroups
from pyasynq.broker.sqlite.history import SqliteHistory
from pyasynq.broker.sqlite.inspection import SqliteInspection
from pyasynq.broker.sqlite.receipts import SqliteReceipts
from pyasynq.broker.sqlite.registry import SqliteRegistry
from pyasynq.broker.sqlite.results import SqliteResults
from pyasynq.broker.sqlite.schedules import SqliteSchedules
from pyasynq.broker.sqlite.semaphores import SqliteSemaphores
from pyasynq.broker.sqlite.store import Database, Store
from pyasynq.broker.sqlite.transfers import SqliteTransfers
from pyasynq.broker.sqlite.upkeep import SqliteUpkeep
from pyasynq.broker.sqlite.work import SqliteWork
from pyasynq.broker.sqlite_url import SqliteAddress, parse_sqlite
from pyasynq.runtime.clock import Clock

__all__ = ["SqliteBroker", "connect", "in_memory"]

_shared: Final[list[Database]] = []
"""The memory that all brokers of this process share, once one of them is made."""

_spare: Final[list[Database]] = []
"""Emptied memories. To empty one takes a tenth of the time that a new one with its tables takes."""


@atexit.register
def _close_memories() -> None:
    """Close what stays open until the process ends; Python would warn of it."""
    for database in (*_shared, *_spare):
        database.close()


def connect(address: str, clock: Clock | None = None) -> "SqliteBroker":
    """Return the broker at the URL *address*. The file is opened, or made, by the first call.

    All brokers in memory (``sqlite://``) of a process see the same tasks, until the process ends.

    Raises:
        OptionError: If the URL is malformed, or Python's SQLite is too old.
    """
    parsed = parse_sqlite(address)
    if parsed.path is not None:
        return SqliteBroker(Database(parsed), clock or Clock(), owned=True)
    if not _shared:
        _shared.append(Database(parsed))
    return SqliteBroker(_shared[0], clock or Clock(), owned=False)


def in_memory(clock: Clock | None = None) -> "SqliteBroker":
    """Return a broker in memory of its own, which is gone once it is closed."""
    database = _spare.pop() if _spare else Database(SqliteAddress(path=None))
    return SqliteBroker(database, clock or Clock(), owned=True)


class SqliteBroker(ports.Broker):
    """All ports but ``cluster`` and ``mail``; a memory has no ``backup`` either."""

    bound_to_loop = False

    def __init__(self, database: Database, clock: Clock, *, owned: bool) -> None:
        """Use *database* and *clock*; `aclose` closes *database* only if it is *owned*."""
        store = Store(database, clock)
        self._store = store
        self._owned = owned
        self.name: str = "SQLite"
        self.creation: ports.CreationPort = SqliteCreation(store)
        self.work: ports.WorkPort = SqliteWork(store)
        self.upkeep: ports.UpkeepPort = SqliteUpkeep(store)
        self.registry: ports.RegistryPort = SqliteRegistry(store)
        self.inspection: ports.InspectionPort = SqliteInspection(store)
        self.results: ports.ResultPort = SqliteResults(store)
        self.groups: ports.GroupPort = SqliteGroups(store)
        self.batches: ports.BatchPort = SqliteBatches(store)
        self.schedules: ports.SchedulePort = SqliteSchedules(store)
        self.entries: ports.EntryPort = SqliteEntries(store)
        self.semaphores: ports.SemaphorePort = SqliteSemaphores(store)
        self.receipts: ports.ReceiptPort = SqliteReceipts(store)
        self.flows: ports.FlowPort = SqliteFlows(store)
        self.history: ports.HistoryPort = SqliteHistory(store)
        self.control: ports.ControlPort = SqliteControl(store)
        self.audit: ports.AuditPort = SqliteAudit(store)
        self.diagnosis: ports.DiagnosisPort = SqliteDiagnosis(store)
        self.transfers: ports.TransferPort = SqliteTransfers(store)
        if (path := database.address.path) is not None:
            self.backup: ports.BackupPort = SqliteBackup(store, path)

    async def ping(self) -> None:
        """Return if the file can be written.

        Raises:
            BrokerError: If it cannot.
        """
        await self._store.write(lambda tx: tx.execute("DELETE FROM pyasynq_cancel WHERE seq = 0"))

    async def aclose(self) -> None:
        """Close the file, or forget a memory of its own."""
        if not self._owned:
            return
        database = self._store.database
        if database.address.path is not None:
            database.close()
            return
        self._store.database = Database(database.address)  # late calls must not reach the old one
        database.clear()
        _spare.append(database)
