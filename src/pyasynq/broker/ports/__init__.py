"""What the rooms above ask of a broker: one narrow port for each purpose.

A broker raises `BrokerError` only. Times that must agree between machines (leases, due times) are
the broker's own clock; the worker's clock never enters them.
"""

from typing import Protocol

from pyasynq.broker.ports.create import CreatePort
from pyasynq.broker.ports.groups import GroupPort
from pyasynq.broker.ports.inspection import InspectPort
from pyasynq.broker.ports.registry import RegistryPort
from pyasynq.broker.ports.results import ResultPort
from pyasynq.broker.ports.schedules import SchedulePort
from pyasynq.broker.ports.semaphores import SemaphorePort
from pyasynq.broker.ports.upkeep import UpkeepPort
from pyasynq.broker.ports.work import WorkPort


class Broker(Protocol):
    """All ports over one connection pool."""

    @property
    def creating(self) -> CreatePort:
        """Create tasks."""
        ...

    @property
    def processing(self) -> WorkPort:
        """Take tasks and settle them."""
        ...

    @property
    def maintenance(self) -> UpkeepPort:
        """Keep queues in order."""
        ...

    @property
    def grouping(self) -> GroupPort:
        """Combine the tasks of groups."""
        ...

    @property
    def registry(self) -> RegistryPort:
        """Who is there."""
        ...

    @property
    def scheduling(self) -> SchedulePort:
        """Where entries of schedulers are, and who has them."""
        ...

    @property
    def inspecting(self) -> InspectPort:
        """Look, order, remove."""
        ...

    @property
    def results(self) -> ResultPort:
        """Wait for the results of tasks."""
        ...

    @property
    def semaphores(self) -> SemaphorePort:
        """Tokens that all machines share."""
        ...

    async def ping(self) -> None:
        """Return when Redis answers, and takes what is written."""
        ...

    async def aclose(self) -> None:
        """Close the connections that this broker opened."""
        ...
