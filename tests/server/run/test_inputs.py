"""A step whose inputs cannot be read waits, and spends no retry."""

import pytest

from pyasynq.broker import Broker
from pyasynq.core.call import INPUTS
from pyasynq.core.codec import Codecs
from pyasynq.core.control import SkipRetry, Snooze
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import HEADER, Place, header_of, pack_output
from pyasynq.server.run.inputs import Inputs
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, damage_flow, end_step, open_flow
from tests.support.servers import RedisServer

FIRST: StepShape = ("succeeded", ())
NEXT: StepShape = ("succeeded", (0,))


@pytest.fixture
def inputs(broker: Broker) -> Inputs:
    return Inputs(broker.flows, broker.batches, Codecs([]))


def a_step() -> TaskMessage:
    """Return the message of a step that uses the result of the first."""
    place = header_of(Place(kind="flow", queue="q", id="flow", node=1))
    return TaskMessage(id="flow:1", headers={HEADER: place, INPUTS: '{"rows":0}'})


async def test_a_step_gets_what_another_has_returned(broker: Broker, inputs: Inputs) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    await end_step(broker, output=pack_output("", b"[1]"))
    assert await inputs.read(a_step()) == {"rows": b"[1]"}


async def test_a_step_of_a_flow_that_is_gone_is_not_tried_again(inputs: Inputs) -> None:
    with pytest.raises(SkipRetry, match="'flow' of 'q' is gone"):
        await inputs.read(a_step())


async def test_a_step_waits_while_its_inputs_cannot_be_read(
    broker: Broker, inputs: Inputs, redis_server: RedisServer
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    await end_step(broker, output=pack_output("zlib", b"sealed"))
    await damage_flow(broker, "flow")
    with pytest.raises(Snooze):
        await inputs.read(a_step())
