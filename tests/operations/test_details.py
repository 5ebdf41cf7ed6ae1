"""One task in detail, and copies of it."""

import pytest

from pyasynq import Client, Flow, Inspector, OptionError, Task
from pyasynq.broker import Broker
from pyasynq.core.call import INPUTS
from pyasynq.core.report import HEADER
from pyasynq.operations.details import as_command, as_python, duplicate


async def test_a_copy_of_a_step_is_not_part_of_its_flow(broker: Broker) -> None:
    flow = Flow("import", queue="q", id="7")
    flow.add(Task("publish", b"p", queue="q", headers={"trace": "a1"}), name="publish")
    inspector = Inspector(broker)
    async with Client(broker) as client:
        await client.enqueue_flow(flow)
        (step,) = await inspector.list_tasks("q", "pending")
        copy = await duplicate(inspector, client, "q", step.id)
    assert (HEADER in step.headers, step.headers["trace"]) == (True, "a1")
    for_shell, for_python = as_command(step), as_python(step)
    assert (HEADER in for_shell, "trace=a1" in for_shell) == (False, True)
    assert (HEADER in for_python, "{'trace': 'a1'}" in for_python) == (False, True)
    assert (copy.type, copy.payload, copy.headers) == ("publish", b"p", {"trace": "a1"})


async def test_a_step_that_is_a_flow_is_not_copied(broker: Broker) -> None:
    outer, inner = Flow("nightly", queue="q"), Flow("import", queue="q")
    inner.add(Task("publish", queue="q"))
    outer.add(inner)
    async with Client(broker) as client:
        await client.enqueue_flow(outer)
        inspector = Inspector(broker)
        (step,) = await inspector.list_tasks("q", "pending")
        with pytest.raises(OptionError, match="retry the flow"):
            await duplicate(inspector, client, "q", step.id)


async def test_a_step_that_uses_a_result_is_not_copied(broker: Broker) -> None:
    inspector = Inspector(broker)
    async with Client(broker) as client:
        step = await client.enqueue(Task("last", queue="q", headers={INPUTS: '{"n":0}'}))
        with pytest.raises(OptionError, match="retry the flow"):
            await duplicate(inspector, client, "q", step.id)
