"""Actions on flows count whatever their tasks, and other operators, do at the same time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pyasynq import Client, Clock, Flow, Task
from pyasynq.broker import Broker, Lease, StoredTask
from pyasynq.client.flow_control import FlowControl
from tests.support.brokers import KINDS, broker_of
from tests.support.factories import settle, take
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, end_step, ending, marks_of, open_flow, record_of
from tests.support.servers import RedisServer

FIRST: StepShape = ("succeeded", ())
NEXT: StepShape = ("succeeded", (0,))


@pytest.fixture(params=KINDS)
async def broker(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> AsyncIterator[Broker]:
    async with broker_of(request.param, redis_server, Clock()) as broker:
        yield broker


class Meanwhile:
    """Lets something happen between the look at a task and what is done with it."""

    def __init__(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        self._broker = broker
        self._look = broker.inspection.task
        self.taken: list[Lease] = []
        monkeypatch.setattr(broker.inspection, "task", self._task)

    async def _task(self, queue: str, task_id: str) -> StoredTask | None:
        found = await self._look(queue, task_id)
        self.taken += await take(self._broker, 9)
        return found


async def test_a_task_that_begins_while_its_flow_is_cancelled_is_cancelled(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    meanwhile, cancelled = Meanwhile(broker, monkeypatch), list[str]()

    async def cancel(task_id: str) -> None:
        cancelled.append(task_id)

    monkeypatch.setattr(broker.registry, "cancel", cancel)
    await FlowControl(broker).cancel("q", "flow", "why")
    assert (await marks_of(broker), cancelled, len(meanwhile.taken)) == ("rx", ["flow:0"], 1)


async def test_a_flow_that_is_retried_while_it_is_cancelled_is_not_skipped_silently(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    control, look = FlowControl(broker), broker.inspection.task

    async def retry_first(queue: str, task_id: str) -> StoredTask | None:
        monkeypatch.setattr(broker.inspection, "task", look)
        await control.retry("q", "flow")
        return await look(queue, task_id)

    monkeypatch.setattr(broker.inspection, "task", retry_first)
    await control.cancel("q", "flow", "why")
    record = await record_of(broker)
    assert (record.state, record.marks) == ("running", "rw")


async def test_a_retry_gives_no_step_the_id_of_another(broker: Broker) -> None:
    names = {0: {"name": "a", "task_id": "flow:a"}, 1: {"name": "a:1", "task_id": "flow:a:1"}}
    await open_flow(broker, a_flow(FIRST, FIRST, changes=names))
    await end_step(broker, "f")
    await end_step(broker, "f")
    await FlowControl(broker).retry("q", "flow")
    assert [lease.id for lease in await take(broker, 9)] == ["flow:a:2", "flow:a:1:1"]


async def test_a_step_with_a_unique_lock_is_repeated(broker: Broker) -> None:
    flow = Flow("import", id="flow", queue="q")
    flow.add(Task("t", queue="q", unique=timedelta(hours=1)))
    async with Client(broker) as client:
        await client.enqueue_flow(flow)
    await end_step(broker, "f")
    await FlowControl(broker).retry("q", "flow")
    assert [lease.id for lease in await take(broker, 9)] == ["flow:t:1"]
    assert await marks_of(broker) == "r"


async def test_a_cancelled_flow_of_which_all_steps_run_goes_on_when_it_is_retried(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST))
    (lease,) = await take(broker)
    control = FlowControl(broker)
    await control.cancel("q", "flow", "why")
    assert (await control.retry("q", "flow")).state == "running"
    assert await settle(broker, lease, ending(lease)) is True
    assert (await record_of(broker)).state == "succeeded"
