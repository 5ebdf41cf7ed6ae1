"""Store flows, and take them on."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.flow_record import FlowChange, FlowRecord, NewFlow
from pyasynq.core.report import Report


class FlowTimer(msgspec.Struct, frozen=True, kw_only=True):
    """Something whose time is over.

    Attributes:
        id: Id of the flow.
        node: Number of a gate, or `core.flow_record.FLOW` for the flow itself.
    """

    id: str
    node: int


class Neglected(msgspec.Struct, frozen=True, kw_only=True):
    """Flows of one queue to look after.

    Attributes:
        timers: What is over its time.
        idle: Ids of flows that have not changed for some time.
    """

    timers: Sequence[FlowTimer]
    idle: Sequence[str]


class FlowPort(Protocol):
    """The records of flows.

    `WorkPort.settle` takes reports to them. A step's task is created in the step that marks it as
    running, or, on brokers that can write to one queue only, posted as mail. If it is refused, its
    step has failed.
    """

    async def open(self, flow: NewFlow) -> bool:
        """Store *flow* and start its first steps, in one step; False if it is stored already.

        Raises:
            DuplicateFlowError: If another flow that has locked its name runs.
            BrokerError: If the broker fails; it may have stored the flow.
        """
        ...

    async def read(self, queue: str, flow_id: str) -> FlowRecord | None:
        """Return a flow; None if it does not exist, or is no longer kept.

        Raises:
            BrokerError: If its record cannot be read.
        """
        ...

    async def list(
        self, queue: str, *, running: bool, start: int, count: int
    ) -> Sequence[FlowRecord]:
        """Return up to *count* flows that run, or that have ended.

        Those that run are in the order of their last changes, the latest first; those that have
        ended in the order of their ends of being kept, the latest first. *start* is the number of
        flows to skip. Those whose records cannot be read are left out.
        """
        ...

    async def outputs(
        self, queue: str, flow_id: str, nodes: Sequence[int]
    ) -> Sequence[bytes | None] | None:
        """Return what steps have reported, None for no output; None if there is no such flow."""
        ...

    async def plans(self, queue: str, flow_id: str, nodes: Sequence[int]) -> Sequence[Plan | None]:
        """Return the plans for the tasks of steps; None for gates, and if there is no such flow."""
        ...

    async def change(self, record: FlowRecord, change: FlowChange) -> bool:
        """Change the flow of *record*; False if it has changed since that was read."""
        ...

    async def report(self, reports: Sequence[Report]) -> None:
        """Take reports to their records, as `WorkPort.settle` does.

        Raises:
            BrokerError: If one could not be taken.
        """
        ...

    async def look_after(self, queue: str, *, idle_s: int, count: int) -> Neglected:
        """Return what needs care in *queue*; nobody else gets the same for some seconds.

        Args:
            queue: Home of the flows.
            idle_s: Seconds without a change after which a flow is idle.
            count: Most timers, and most idle flows, to return.
        """
        ...


def unreadable(broker: str, queue: str, flow_id: str) -> BrokerError:
    """Return the error for a flow whose record cannot be read."""
    return BrokerError(f"{broker}: the record of flow {flow_id!r} of {queue!r} cannot be read")
