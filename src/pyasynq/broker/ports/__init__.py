"""What the layers above need from a broker: one narrow port for each purpose.

Every failure of the broker is a `BrokerError`. `create`, `dequeue`, `settle`, `extend` and
`SchedulePort.begin` return it for each item instead of raising it, so that an error of one queue
does not affect another. All other methods raise it. Times that must agree between machines (leases,
due times) come from the broker's clock, never from the worker's.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from pyasynq.broker.ports.audit import AuditPort
from pyasynq.broker.ports.backup import BackupPort
from pyasynq.broker.ports.batches import BatchPort
from pyasynq.broker.ports.cluster import ClusterPort
from pyasynq.broker.ports.control import ControlPort
from pyasynq.broker.ports.creation import CreationPort
from pyasynq.broker.ports.diagnosis import DiagnosisPort
from pyasynq.broker.ports.entries import EntryPort
from pyasynq.broker.ports.flows import FlowPort
from pyasynq.broker.ports.groups import GroupPort
from pyasynq.broker.ports.history import HistoryPort
from pyasynq.broker.ports.inspection import InspectionPort
from pyasynq.broker.ports.mail import MailPort
from pyasynq.broker.ports.receipts import ReceiptPort
from pyasynq.broker.ports.registry import RegistryPort
from pyasynq.broker.ports.results import ResultPort
from pyasynq.broker.ports.schedules import SchedulePort
from pyasynq.broker.ports.semaphores import SemaphorePort
from pyasynq.broker.ports.transfers import TransferPort
from pyasynq.broker.ports.upkeep import UpkeepPort
from pyasynq.broker.ports.work import WorkPort
from pyasynq.core.errors import NotSupportedError

__all__ = [
    "OPTIONAL",
    "AuditPort",
    "BackupPort",
    "BatchPort",
    "Broker",
    "ClusterPort",
    "ControlPort",
    "CreationPort",
    "DiagnosisPort",
    "EntryPort",
    "FlowPort",
    "GroupPort",
    "HistoryPort",
    "InspectionPort",
    "MailPort",
    "ReceiptPort",
    "RegistryPort",
    "ResultPort",
    "SchedulePort",
    "SemaphorePort",
    "TransferPort",
    "UpkeepPort",
    "WorkPort",
]

OPTIONAL: Final = {
    "groups": "groups",
    "schedules": "schedules",
    "entries": "control of scheduler entries",
    "semaphores": "semaphores",
    "receipts": "an outbox",
    "mail": "mail between queues",
    "batches": "batches of tasks",
    "flows": "flows",
    "history": "a history of runs",
    "control": "control of servers",
    "audit": "an audit",
    "cluster": "information about its servers",
    "diagnosis": "a diagnosis",
    "transfers": "moving tasks to another broker",
    "backup": "a backup",
}
"""Ports that a broker may lack, and what it then does not support."""


class Broker(ABC):
    """All ports of one broker.

    If a broker lacks an optional port, reading that attribute raises `NotSupportedError`.

    Attributes:
        name: Name of the broker in errors and logs.
        bound_to_loop: Its connections belong to the event loop that made the first call.
        creation: Create tasks.
        work: Take tasks and settle them.
        upkeep: Keep queues in order.
        registry: List the running servers and cancel tasks.
        inspection: Read queues and tasks, act on them, remove queues.
        results: Wait for the results of tasks.
        groups: Combine the tasks of groups; optional, like all that follow.
        schedules: Last ticks, entries and histories of schedulers.
        entries: What entries of schedulers enqueue, and which of them are paused.
        semaphores: Tokens that all machines share.
        receipts: The receipts of an outbox's rows.
        mail: Deliver tasks to other queues, if `settle` cannot create them there.
        batches: Create tasks all together.
        flows: Store flows, and take them on.
        history: Counts and durations of runs.
        control: What operators want of servers.
        audit: The actions of operators.
        cluster: The servers behind the broker.
        diagnosis: Check what may be wrong with the broker.
        transfers: Take tasks from one broker to another.
        backup: Copy all that the broker stores.
    """

    name: str
    bound_to_loop: bool = True
    creation: CreationPort
    work: WorkPort
    upkeep: UpkeepPort
    registry: RegistryPort
    inspection: InspectionPort
    results: ResultPort
    groups: GroupPort
    schedules: SchedulePort
    entries: EntryPort
    semaphores: SemaphorePort
    receipts: ReceiptPort
    mail: MailPort
    batches: BatchPort
    flows: FlowPort
    history: HistoryPort
    control: ControlPort
    audit: AuditPort
    cluster: ClusterPort
    diagnosis: DiagnosisPort
    transfers: TransferPort
    backup: BackupPort

    @abstractmethod
    async def ping(self) -> None:
        """Return if the broker answers and accepts writes."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections that this broker opened."""

    def supports(self, port: str) -> bool:
        """Return whether the broker has the optional *port*; *port* is the attribute's name."""
        try:
            getattr(self, port)
        except NotSupportedError:
            return False
        return True

    if not TYPE_CHECKING:  # else a type checker accepts any attribute name

        def __getattr__(self, name: str) -> object:
            """Refuse an optional port that this broker lacks."""
            if name in OPTIONAL:
                raise NotSupportedError(OPTIONAL[name], self.name)
            raise AttributeError(name)
