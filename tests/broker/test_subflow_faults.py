"""A step that is a flow ends as that does, whichever call to the broker is lost or sent twice."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from pyasynq import Clock
from pyasynq.broker import Broker, Lease
from pyasynq.broker.redis import mail
from pyasynq.client.flow_control import FlowControl
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.verdict import REQUEUE, Verdict
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.upkeep import flow_recoverer
from pyasynq.server.upkeep.flow_recoverer import FlowRecoverer
from tests.support.factories import settle
from tests.support.subflows import Crew, nested, open_nested, states_of

CALLS = 14
"""More than a worker makes for these flows, deliveries left out."""

pytestmark = pytest.mark.needs("flows")


class Faults:
    """Lets one call to a broker fail, or be sent twice."""

    def __init__(self, kind: str, number: int) -> None:
        """Do what *kind* says at the call *number*, counted from 0."""
        self._kind = kind
        self._left = number
        self.is_on = True

    def around(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return *call* with its fault."""

        async def with_fault(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - any call
            self._left -= 1 if self.is_on else 0
            if not self.is_on or self._left != -1:
                return await call(*args, **named)
            if self._kind == "doubled":
                await call(*args, **named)
                return await call(*args, **named)
            if self._kind == "answer lost":
                await call(*args, **named)
            raise BrokerUnavailableError(f"as the test wants it: {self._kind}")

        return with_fault


class FaultyCrew(Crew):
    """Workers that send a verdict again until it is written, and run a task again that failed."""

    async def end(self, lease: Lease) -> None:
        """Run the task of *lease*, and settle it."""
        verdict: Verdict = REQUEUE
        with suppress(BrokerError):
            verdict = await self.verdict_on(lease)
        with suppress(BrokerError):
            await settle(self._broker, lease, verdict)
            return
        await settle(self._broker, lease, verdict)


@pytest.mark.parametrize("queue", ["q", "r"])
@pytest.mark.parametrize("kind", ["lost", "answer lost", "doubled"])
@pytest.mark.parametrize("number", range(CALLS))
async def test_a_step_ends_with_its_flow_whichever_call_fails(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, number: int, kind: str, queue: str
) -> None:
    monkeypatch.setattr(mail, "HOLD_S", 0)
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    outer = await open_nested(broker, nested("sf", queue=queue))
    crew, faults = FaultyCrew(broker, heals=True), Faults(kind, number)
    for name in ("open", "read", "change", "report"):
        monkeypatch.setattr(broker.flows, name, faults.around(getattr(broker.flows, name)))
    monkeypatch.setattr(broker.work, "settle", faults.around(broker.work.settle))
    await crew.run()
    faults.is_on = False
    await FlowControl(broker).retry("q", outer.id)
    faults.is_on = True
    await crew.run()
    faults.is_on = False
    await FlowRecoverer(broker, "q", clock=Clock(), outages=OutageLog("the broker")).step()
    await crew.run()
    assert await states_of(broker, outer) == ["succeeded"] * 3
