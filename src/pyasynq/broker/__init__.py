"""Brokers: they store tasks from enqueueing until they are done.

`open_broker` is the only entry point. The layers above use a broker only through its ports.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from pyasynq.broker.ports import Broker
from pyasynq.broker.ports.audit import AuditEntry, AuditPort
from pyasynq.broker.ports.backup import BackupPort
from pyasynq.broker.ports.batches import BatchPort, BatchRef, BatchRepair
from pyasynq.broker.ports.cluster import ClusterPort
from pyasynq.broker.ports.control import ControlPort
from pyasynq.broker.ports.creation import (
    Created,
    CreationPort,
    NewTask,
    NotCreated,
    Receipt,
    Refusal,
    ReplacesSet,
    Tick,
    TickResult,
)
from pyasynq.broker.ports.diagnosis import (
    DiagnosisPort,
    Heartbeat,
    NodeReport,
    SlowCommand,
    SlowLog,
)
from pyasynq.broker.ports.entries import EntryPort
from pyasynq.broker.ports.flows import FlowPort, FlowTimer, Neglected
from pyasynq.broker.ports.groups import (
    AggregationSet,
    GroupedTask,
    GroupPort,
    GroupRules,
    ReadyGroups,
    ReclaimResult,
)
from pyasynq.broker.ports.history import CountedSpan, HistoryPort
from pyasynq.broker.ports.inspection import (
    Container,
    Deleted,
    InspectionPort,
    Matches,
    Move,
    Page,
    Progress,
    RemoveResult,
    StoredTask,
    UpdateResult,
)
from pyasynq.broker.ports.mail import Delivery, MailPort
from pyasynq.broker.ports.receipts import ReceiptPort
from pyasynq.broker.ports.registry import News, Notice, RegistryPort, Vacancy
from pyasynq.broker.ports.results import ResultPort
from pyasynq.broker.ports.schedules import EntryStart, Position, SchedulePort
from pyasynq.broker.ports.semaphores import SemaphorePort, Token
from pyasynq.broker.ports.transfers import TaskCopy, TransferPort
from pyasynq.broker.ports.upkeep import ForwardResult, Job, Look, UpkeepPort
from pyasynq.broker.ports.work import DequeueResult, Lease, WorkPort
from pyasynq.broker.replacement import is_replaced, replacing_all, track
from pyasynq.broker.sqlite_url import parse_sqlite, redact_sqlite
from pyasynq.broker.url import KINDS, parse, scheme_of
from pyasynq.broker.url import redact_url as _redact_text
from pyasynq.runtime.clock import Clock

if TYPE_CHECKING:
    from pyasynq.broker.redis import Driver

__all__ = [
    "AggregationSet",
    "AuditEntry",
    "AuditPort",
    "BackupPort",
    "BatchPort",
    "BatchRef",
    "BatchRepair",
    "Broker",
    "BrokerAddress",
    "ClusterPort",
    "Container",
    "ControlPort",
    "CountedSpan",
    "Created",
    "CreationPort",
    "Deleted",
    "Delivery",
    "DequeueResult",
    "DiagnosisPort",
    "EntryPort",
    "EntryStart",
    "FlowPort",
    "FlowTimer",
    "ForwardResult",
    "GroupPort",
    "GroupRules",
    "GroupedTask",
    "Heartbeat",
    "HistoryPort",
    "InspectionPort",
    "Job",
    "Lease",
    "Look",
    "MailPort",
    "Matches",
    "Move",
    "Neglected",
    "NewTask",
    "News",
    "NodeReport",
    "NotCreated",
    "Notice",
    "Page",
    "Position",
    "Progress",
    "ReadyGroups",
    "Receipt",
    "ReceiptPort",
    "ReclaimResult",
    "Refusal",
    "RegistryPort",
    "RemoveResult",
    "ReplacesSet",
    "ResultPort",
    "SchedulePort",
    "SemaphorePort",
    "SlowCommand",
    "SlowLog",
    "StoredTask",
    "TaskCopy",
    "Tick",
    "TickResult",
    "Token",
    "TransferPort",
    "UpdateResult",
    "UpkeepPort",
    "Vacancy",
    "WorkPort",
    "check_address",
    "file_of",
    "is_replaced",
    "name_of",
    "open_broker",
    "redact_url",
    "replacing_all",
]


_PACKAGES: Final = dict.fromkeys(KINDS, "pyasynq.broker.redis") | {
    "sqlite": "pyasynq.broker.sqlite"
}
"""Package of each scheme's broker. Importing it takes 0.1 s, so only `open_broker` does that."""

BrokerAddress: TypeAlias = "str | Broker | Driver"
"""Where a broker is: a URL (``redis://``, ``rediss://``, ``unix://``, ``redis-sentinel://``,
``redis-cluster://``, ``sqlite://``), a bare ``host:port``, a redis-py asyncio client, or an open
broker.
"""


def open_broker(address: BrokerAddress, clock: Clock | None = None) -> Broker:
    """Return a broker. It sends nothing before the first call.

    Args:
        address: Where it is. We never close a client or a broker that is passed in.
        clock: This machine's clock; a test may pass its own.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    broker = _Lent(address) if isinstance(address, Broker) else _connect(address, clock)
    track(broker)
    return broker


def _connect(address: "str | Driver", clock: Clock | None) -> Broker:
    scheme = scheme_of(address) if isinstance(address, str) else "redis"
    if scheme not in _PACKAGES:
        parse(cast("str", address))  # says what is wrong
    package = import_module(_PACKAGES[scheme])
    return cast("Broker", package.connect(address, clock))


class _Lent(Broker):
    """A broker that its owner closes."""

    def __init__(self, broker: Broker) -> None:
        """Pass every call on to *broker*, except `aclose`."""
        self.name: str = broker.name
        self.bound_to_loop: bool = broker.bound_to_loop
        self._broker = broker

    async def ping(self) -> None:
        await self._broker.ping()

    async def aclose(self) -> None:
        pass

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            return getattr(self._broker, name)


def check_address(address: BrokerAddress) -> None:
    """Return if `open_broker` accepts *address*; a URL is checked without loading the driver.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    if address and isinstance(address, str):
        if scheme_of(address) == "sqlite":
            parse_sqlite(address)
        else:
            parse(address)
        return
    if isinstance(address, Broker):
        return
    # A client comes from the driver, so the driver is loaded already.
    from pyasynq.broker.redis.address import open_driver

    open_driver(address)


def name_of(address: BrokerAddress) -> str:
    """Return the name of the broker at *address*, for logs and errors; nothing is opened."""
    if isinstance(address, Broker):
        return address.name
    return "SQLite" if isinstance(address, str) and scheme_of(address) == "sqlite" else "Redis"


def file_of(address: BrokerAddress) -> Path | None:
    """Return the file that a ``sqlite://`` URL names; None if *address* names no file.

    Raises:
        OptionError: If the URL is malformed.
    """
    if not isinstance(address, str) or scheme_of(address) != "sqlite":
        return None
    return parse_sqlite(address).path


def redact_url(address: BrokerAddress) -> str:
    """Return *address* as a text for people, without passwords."""
    if isinstance(address, Broker):
        return f"the program's own {address.name}"
    if not isinstance(address, str):
        return "the program's own client"
    return redact_sqlite(address) if scheme_of(address) == "sqlite" else _redact_text(address)
