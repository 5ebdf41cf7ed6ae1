"""Actions on flows count whatever their tasks, and other operators, do at the same time."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from pyasynq import Client, Clock, Flow, Inspector, OptionError, Task
from pyasynq.broker import Broker, Container, Lease, Move, StoredTask
from pyasynq.client.flow_control import FlowControl
from pyasynq.core.errors import BrokerUnavailableError
from pyasynq.core.flow_errors import FlowStateError
from pyasynq.core.states import Action, TaskState
from tests.support.brokers import KINDS, broker_of
from tests.support.factories import completed, settle, take
from tests.support.flow_model import StepShape
from tests.support.flows import (
    a_flow,
    a_map,
    deliver_all,
    end_step,
    ending,
    hold_map,
    marks_of,
    open_flow,
    record_of,
)
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


@pytest.mark.parametrize("home", ["q", "r"])
async def test_a_step_whose_task_has_the_id_of_another_says_so_and_gets_its_own_by_a_retry(
    broker: Broker, home: str
) -> None:
    first, second = Flow("first", id="f", queue="q"), Flow("second", id="f:1", queue=home)
    first.add(Task("t", queue="q"), name="1:2")
    second.add(Task("t", queue="q"), name="2")
    async with Client(broker) as client:
        await client.enqueue_flow(first)
        await client.enqueue_flow(second)
    await deliver_all(broker, "qr")
    assert (await record_of(broker, "f:1", home)).errors == {
        0: "its task was refused: another task has its id, f:1:2; a retry of the flow gives it "
        "another one"
    }
    await FlowControl(broker).retry(home, "f:1")
    await deliver_all(broker, "qr")
    assert [lease.id for lease in await take(broker, 9)] == ["f:1:2", "f:1:2:1"]


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


async def test_a_cancellation_that_has_failed_half_way_goes_on_when_it_is_repeated(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_flow(broker, a_flow(FIRST, FIRST, NEXT))
    control, look = FlowControl(broker), broker.inspection.task

    async def look_at_others(queue: str, task_id: str) -> StoredTask | None:
        if task_id == "flow:0":
            raise BrokerUnavailableError("its node is away")
        return await look(queue, task_id)

    with monkeypatch.context() as patch:
        patch.setattr(broker.inspection, "task", look_at_others)
        with pytest.raises(BrokerUnavailableError):
            await control.cancel("q", "flow", "why")
    assert await marks_of(broker) == "rxx"
    record = await control.cancel("q", "flow", "once more")
    assert (record.state, record.marks, record.reason) == ("cancelled", "xxx", "why")
    assert await take(broker, 9) == []
    with pytest.raises(FlowStateError):
        await control.cancel("q", "flow", "once more")


async def test_a_step_whose_task_an_operator_has_deleted_does_not_run_in_a_cancelled_flow(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    pending = Container(queue="q", state=TaskState.PENDING)
    await broker.inspection.apply(Action.DELETE, pending, ["flow:0"])
    assert (await FlowControl(broker).cancel("q", "flow", "why")).marks == "xx"


async def test_a_step_whose_task_an_operator_has_archived_has_failed_in_a_cancelled_flow(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    pending = Container(queue="q", state=TaskState.PENDING)
    await broker.inspection.apply(Action.ARCHIVE, pending, ["flow:0"])
    assert (await FlowControl(broker).cancel("q", "flow", "why")).marks == "fx"


async def test_a_step_that_a_worker_without_flows_has_run_has_succeeded_in_a_cancelled_flow(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    (lease,) = await take(broker)
    await settle(broker, lease, completed(lease))
    assert (await FlowControl(broker).cancel("q", "flow", "why")).marks == "sx"


async def test_a_flow_that_is_retried_while_it_is_cancelled_and_cancelled_again_does_not_run(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT))
    control, apply = FlowControl(broker), broker.inspection.apply

    async def delete_and_retry(action: Move, where: Container, which: Sequence[str]) -> int:
        monkeypatch.setattr(broker.inspection, "apply", apply)
        deleted = await apply(action, where, which)
        await control.retry("q", "flow")
        await control.cancel("q", "flow", "once more")
        return deleted

    monkeypatch.setattr(broker.inspection, "apply", delete_and_retry)
    await control.cancel("q", "flow", "why")
    record = await record_of(broker)
    assert (record.state, record.marks) == ("cancelled", "xx")


async def test_a_map_whose_queue_an_operator_has_deleted_does_not_run_in_a_cancelled_flow(
    broker: Broker,
) -> None:
    await hold_map(broker, queue="r")
    await open_flow(broker, a_flow(FIRST, NEXT, changes={0: a_map(queue="r")}))
    await deliver_all(broker, "qr")
    await Inspector(broker).delete_queue("r", force=True)
    assert (await FlowControl(broker).cancel("q", "flow", "why")).marks == "xx"


async def test_a_step_whose_report_is_on_its_way_when_its_flow_is_cancelled_has_ended(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST, FIRST, queues="rq"))
    await deliver_all(broker, "q")
    (lease,) = await take(broker, queue="r")
    await settle(broker, lease, ending(lease))
    assert (await FlowControl(broker).cancel("q", "flow", "why")).marks == "sx"


async def test_a_task_that_is_on_its_way_to_another_queue_is_deleted_with_its_flow(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT, queues="qr"))
    (lease,) = await take(broker)
    await settle(broker, lease, ending(lease))
    record = await FlowControl(broker).cancel("q", "flow", "why")
    assert record.marks == "sx"
    await deliver_all(broker, "qr")
    assert await take(broker, queue="r") == []


async def test_a_task_that_is_on_its_way_is_deleted_when_its_step_is_skipped(
    broker: Broker,
) -> None:
    await open_flow(broker, a_flow(FIRST, NEXT, queues="qr"))
    (lease,) = await take(broker)
    await settle(broker, lease, ending(lease))
    assert (await FlowControl(broker).skip("q", "flow", "1")).state == "succeeded"
    await deliver_all(broker, "qr")
    assert await take(broker, queue="r") == []


async def test_the_value_of_a_signal_is_no_larger_than_the_result_of_a_step(
    broker: Broker,
) -> None:
    flow = Flow("import", id="flow", queue="q")
    flow.gate("approval")
    async with Client(broker) as client:
        await client.enqueue_flow(flow)
        with pytest.raises(OptionError, match="at most 1048576 bytes"):
            await client.signal("flow", "approval", "x" * 1024 * 1024, queue="q")
        await client.signal("flow", "approval", "x" * 1024 * 1000, queue="q")
    assert (await record_of(broker)).state == "succeeded"
