"""What the rooms above ask of a broker: one narrow port for each purpose.

What goes wrong with the broker is a `BrokerError`. `create`, `dequeue`, `settle`, `extend` and
`SchedulePort.begin` answer it for each item and raise none, so that one queue's error is not
another's; all others raise it. Times that must agree between machines (leases, due times) are
the broker's own clock; the worker's clock never enters them.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from pyasynq.broker.ports.cluster import ClusterPort
from pyasynq.broker.ports.creation import CreationPort
from pyasynq.broker.ports.groups import GroupPort
from pyasynq.broker.ports.inspection import InspectionPort
from pyasynq.broker.ports.receipts import ReceiptPort
from pyasynq.broker.ports.registry import RegistryPort
from pyasynq.broker.ports.results import ResultPort
from pyasynq.broker.ports.schedules import SchedulePort
from pyasynq.broker.ports.semaphores import SemaphorePort
from pyasynq.broker.ports.upkeep import UpkeepPort
from pyasynq.broker.ports.work import WorkPort
from pyasynq.core.errors import NotSupportedError

__all__ = [
    "OPTIONAL",
    "Broker",
    "ClusterPort",
    "CreationPort",
    "GroupPort",
    "InspectionPort",
    "ReceiptPort",
    "RegistryPort",
    "ResultPort",
    "SchedulePort",
    "SemaphorePort",
    "UpkeepPort",
    "WorkPort",
]

OPTIONAL: Final = {
    "groups": "groups",
    "schedules": "schedules",
    "semaphores": "semaphores",
    "receipts": "an outbox",
    "cluster": "telling of its servers",
}
"""Ports that a broker may lack, and what is not supported then."""


class Broker(ABC):
    """All ports of one broker.

    A broker without an optional port has no such attribute, and whoever asks for it gets a
    `NotSupportedError`.

    Attributes:
        name: What it is called in errors and logs.
        creating: Create tasks.
        processing: Take tasks and settle them.
        maintenance: Keep queues in order.
        registry: Who is there.
        inspecting: Look, order, remove.
        results: Wait for the results of tasks.
        grouping: Combine the tasks of groups; optional, as all that follow.
        scheduling: Where entries of schedulers are, and who has them.
        semaphores: Tokens that all machines share.
        receipts: The receipts of an outbox's rows.
        cluster: The servers behind the broker.
    """

    name: str
    creation: CreationPort
    work: WorkPort
    upkeep: UpkeepPort
    registry: RegistryPort
    inspection: InspectionPort
    results: ResultPort
    groups: GroupPort
    schedules: SchedulePort
    semaphores: SemaphorePort
    receipts: ReceiptPort
    cluster: ClusterPort

    @abstractmethod
    async def ping(self) -> None:
        """Return when the broker answers, and takes what is written."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections that this broker opened."""

    def supports(self, port: str) -> bool:
        """Tell whether the broker has the optional *port*, named as its attribute."""
        try:
            getattr(self, port)
        except NotSupportedError:
            return False
        return True

    if not TYPE_CHECKING:  # a type checker shall know the names that there are

        def __getattr__(self, name: str) -> object:
            """Refuse an optional port that this broker lacks."""
            if name in OPTIONAL:
                raise NotSupportedError(OPTIONAL[name], self.name)
            raise AttributeError(name)
