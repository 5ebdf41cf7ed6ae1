"""Every broker runs maps: steps of flows that are any number of tasks."""

from collections.abc import Mapping

import pytest

from pyasynq.broker import BatchRef, Broker, Delivery, Lease, RemoveResult
from pyasynq.client.batch_control import BatchControl
from pyasynq.client.flow_control import FlowControl
from pyasynq.core.batch import BatchInfo, member_id
from pyasynq.core.batch_errors import BatchStateError
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.policy import MAX_BULK
from pyasynq.core.report import pack_output
from tests.support.factories import ids, settle, take
from tests.support.flow_model import QUEUES, StepShape
from tests.support.flows import (
    a_flow,
    a_map,
    damage_flow,
    deliver_all,
    end_step,
    ending,
    hold_map,
    marks_of,
    mend_flow,
    open_flow,
    record_of,
)

FIRST: StepShape = ("succeeded", ())
SECOND: StepShape = ("succeeded", (0,))

pytestmark = pytest.mark.needs("flows", "batches")


async def open_with(
    broker: Broker, *steps: StepShape, changes: Mapping[int, Mapping[str, object]]
) -> None:
    await open_flow(broker, a_flow(*steps, changes=changes))
    await deliver_all(broker, QUEUES)


async def a_flow_that_is_a_map(
    broker: Broker, count: int = 2, *, queue: str = "q", keeps_results: bool = False
) -> list[Lease]:
    """Open a flow whose first step is a map, and its second a task; take the tasks of the map."""
    await hold_map(broker, count, queue=queue, keeps_results=keeps_results)
    await open_with(broker, FIRST, SECOND, changes={0: a_map(count, queue=queue)})
    return await take(broker, count, queue=queue) if count else []


async def end(broker: Broker, lease: Lease, mark: str = "s", *, output: bytes = b"") -> None:
    """End a task of a map."""
    assert await settle(broker, lease, ending(lease, mark, output=output)) is True
    await deliver_all(broker, QUEUES)


async def batch(broker: Broker, *, queue: str = "q") -> BatchInfo:
    found = await broker.batches.read(queue, "m")
    assert found is not None
    return found


async def retry(broker: Broker) -> FlowRecord:
    record = await FlowControl(broker).retry("q", "flow")
    await deliver_all(broker, QUEUES)
    return record


# -- in the order of the flow ----------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_the_tasks_of_a_map_wait_for_the_steps_before(broker: Broker, queue: str) -> None:
    await hold_map(broker, 2, node=1, queue=queue)
    await open_with(broker, FIRST, SECOND, changes={1: a_map(queue=queue)})
    (first,) = await take(broker, 9)
    assert (first.id, await take(broker, 9, queue=queue)) == ("flow:0", [])
    assert (await batch(broker, queue=queue)).state == "waiting"
    await end(broker, first)
    assert ids(await take(broker, 9, queue=queue)) == ["m:0", "m:1"]
    assert await marks_of(broker) == "sr"


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_step_after_a_map_runs_when_all_its_tasks_have_ended(
    broker: Broker, queue: str
) -> None:
    first, second = await a_flow_that_is_a_map(broker, queue=queue)
    await end(broker, first)
    assert await marks_of(broker) == "rw"
    await end(broker, second)
    assert await marks_of(broker) == "sr"
    assert ids(await take(broker)) == ["flow:1"]


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_failed_task_fails_its_map(broker: Broker, queue: str) -> None:
    await hold_map(broker, queue=queue)
    after: StepShape = ("failed", (0,))
    await open_with(broker, FIRST, SECOND, after, changes={0: a_map(queue=queue)})
    first, second = await take(broker, 9, queue=queue)
    await end(broker, first, "f")
    assert await marks_of(broker) == "rww"
    await end(broker, second)
    record = await record_of(broker)
    assert (record.marks, record.errors) == ("fur", {0: "1 of 2 tasks have failed"})


async def test_a_revoked_task_does_not_fail_its_map(broker: Broker) -> None:
    first, second = await a_flow_that_is_a_map(broker)
    await end(broker, first, "x")
    await end(broker, second)
    assert await marks_of(broker) == "sr"


async def test_a_map_without_tasks_succeeds(broker: Broker) -> None:
    await a_flow_that_is_a_map(broker, 0)
    await deliver_all(broker, QUEUES)
    assert await marks_of(broker) == "sr"
    assert (await batch(broker)).state == "succeeded"


async def test_a_map_follows_a_map(broker: Broker) -> None:
    await hold_map(broker)
    await hold_map(broker, node=1, batch_id="n", queue="r")
    await open_with(broker, FIRST, SECOND, changes={0: a_map(), 1: a_map(batch_id="n", queue="r")})
    for lease in await take(broker, 9):
        await end(broker, lease)
    assert ids(await take(broker, 9, queue="r")) == ["n:0", "n:1"]


async def test_many_tasks_are_released_as_others_end(broker: Broker) -> None:
    count = 2 * MAX_BULK + 100
    await hold_map(broker, count)
    await open_with(broker, FIRST, SECOND, changes={0: a_map(count)})
    seen: list[str] = []
    while leases := await take(broker, 128):
        seen += ids(leases)
        if "flow:1" in ids(leases):
            break
        await broker.work.settle([(lease, ending(lease)) for lease in leases])
        await deliver_all(broker, QUEUES)
    assert sorted(seen) == sorted([*(member_id("m", n) for n in range(count)), "flow:1"])


async def test_at_first_no_more_are_released_than_one_call_moves(broker: Broker) -> None:
    count = MAX_BULK + 100
    await hold_map(broker, count)
    await open_with(broker, FIRST, changes={0: a_map(count)})
    info = await broker.inspection.queue_info("q", memory=False)
    assert info.pending == MAX_BULK


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_what_the_tasks_have_returned_is_kept(broker: Broker, queue: str) -> None:
    first, second = await a_flow_that_is_a_map(broker, queue=queue, keeps_results=True)
    output = pack_output("", bytes(range(256)))
    await end(broker, second, output=output)
    await end(broker, first, "x")
    assert await broker.batches.outputs(queue, "m") == {1: output}


async def test_results_are_kept_only_if_a_step_uses_them(broker: Broker) -> None:
    first, _ = await a_flow_that_is_a_map(broker)
    await end(broker, first, output=pack_output("", b"1"))
    assert await broker.batches.outputs("q", "m") is None
    assert await broker.batches.outputs("q", "gone") is None


async def test_results_that_are_too_large_fail_the_map(broker: Broker) -> None:
    leases = await a_flow_that_is_a_map(broker, 17, keeps_results=True)
    for lease in leases:
        await end(broker, lease, output=pack_output("", b"x" * 1024 * 1024))
    record = await record_of(broker)
    assert record.marks == "fu"
    assert "a map keeps 16777216" in record.errors[0]


# -- retry, cancel, skip ---------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_retried_map_runs_its_failed_tasks_again(broker: Broker, queue: str) -> None:
    first, second = await a_flow_that_is_a_map(broker, queue=queue, keeps_results=True)
    await end(broker, first, "f")
    await end(broker, second, output=b"kept")
    assert (await record_of(broker)).state == "failed"
    await retry(broker)
    assert await marks_of(broker) == "rw"
    (again,) = await take(broker, 9, queue=queue)
    assert again.id == "m:0"
    await end(broker, again, output=b"new")
    assert await marks_of(broker) == "sr"
    assert await broker.batches.outputs(queue, "m") == {0: b"new", 1: b"kept"}


async def test_a_map_is_retried_again_and_again(broker: Broker) -> None:
    (lease,) = await a_flow_that_is_a_map(broker, 1)
    await end(broker, lease, "f")
    await retry(broker)
    (lease,) = await take(broker)
    await end(broker, lease, "f")
    record = await record_of(broker)
    assert (record.state, record.errors) == ("failed", {0: "1 of 1 tasks have failed"})
    await retry(broker)
    (lease,) = await take(broker)
    await end(broker, lease)
    assert await marks_of(broker) == "sr"


async def test_a_map_that_was_not_run_because_of_a_failure_runs_after_a_retry(
    broker: Broker,
) -> None:
    await hold_map(broker, node=1)
    await open_with(broker, FIRST, SECOND, changes={1: a_map()})
    await end_step(broker, "f")
    assert await marks_of(broker) == "fu"
    await retry(broker)
    await end_step(broker)
    await deliver_all(broker, QUEUES)
    assert ids(await take(broker, 9)) == ["m:0", "m:1"]


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_the_map_of_a_cancelled_flow_runs_no_more(broker: Broker, queue: str) -> None:
    await hold_map(broker, queue=queue)
    await open_with(broker, FIRST, SECOND, changes={0: a_map(queue=queue)})
    (lease,) = await take(broker, queue=queue)
    await FlowControl(broker).cancel("q", "flow", "why")
    assert await take(broker, 9, queue=queue) == []
    await end(broker, lease)
    record = await record_of(broker)
    assert (record.state, record.marks) == ("cancelled", "fx")
    assert record.errors == {0: "its batch was cancelled"}
    await retry(broker)
    assert (await record_of(broker)).state == "failed"


async def test_a_map_of_a_cancelled_flow_that_had_not_begun_runs_after_a_retry(
    broker: Broker,
) -> None:
    await hold_map(broker, node=1)
    await open_with(broker, FIRST, SECOND, changes={1: a_map()})
    await FlowControl(broker).cancel("q", "flow", "why")
    await retry(broker)
    await end_step(broker)
    await deliver_all(broker, QUEUES)
    assert ids(await take(broker, 9)) == ["m:0", "m:1"]


def keep_mail(broker: Broker, patch: pytest.MonkeyPatch) -> None:
    """Let nobody deliver mail, as while another has taken it, or a node is away."""

    async def deliver(queue: str) -> Delivery:
        return Delivery(delivered=0, more=False, next_in_s=None)

    patch.setattr(broker.mail, "deliver", deliver)


@pytest.mark.needs("mail")
@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_map_that_was_cancelled_before_the_letter_that_begins_it_comes_does_not_run(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, queue: str, count: int
) -> None:
    await hold_map(broker, count, node=1, queue=queue)
    await open_with(broker, FIRST, SECOND, changes={1: a_map(count, queue=queue)})
    (lease,) = await take(broker)
    await settle(broker, lease, ending(lease))
    with monkeypatch.context() as patch:
        keep_mail(broker, patch)
        await FlowControl(broker).cancel("q", "flow", "why")
    await deliver_all(broker, [*QUEUES, *QUEUES])
    assert await take(broker, 9, queue=queue) == []
    record = await record_of(broker)
    assert (record.state, record.marks) == ("cancelled", "sf")
    assert (await batch(broker, queue=queue)).state == "cancelled"


@pytest.mark.needs("mail")
@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_retried_map_that_was_cancelled_before_its_letter_comes_does_not_run(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, queue: str
) -> None:
    first, second = await a_flow_that_is_a_map(broker, queue=queue)
    await end(broker, first, "f")
    await end(broker, second)
    with monkeypatch.context() as patch:
        keep_mail(broker, patch)
        await FlowControl(broker).retry("q", "flow")
        await FlowControl(broker).cancel("q", "flow", "why")
    await deliver_all(broker, [*QUEUES, *QUEUES])
    assert await take(broker, 9, queue=queue) == []
    record = await record_of(broker)
    assert (record.state, record.marks) == ("cancelled", "fx")


async def test_a_map_that_its_flow_has_not_begun_is_not_cancelled_by_hand(broker: Broker) -> None:
    await hold_map(broker)
    assert await broker.batches.cancel("q", "m") is None
    assert (await batch(broker)).state == "waiting"


async def test_a_map_that_is_skipped_runs_no_more_and_has_no_results(broker: Broker) -> None:
    await hold_map(broker, keeps_results=True)
    await open_with(broker, FIRST, SECOND, changes={0: a_map()})
    await FlowControl(broker).skip("q", "flow", "0")
    assert await marks_of(broker) == "sr"
    assert ids(await take(broker, 9)) == ["flow:1"]
    assert await broker.flows.outputs("q", "flow", [0]) == [pack_output("", b"[]")]


async def test_a_cancelled_batch_fails_its_map(broker: Broker) -> None:
    await hold_map(broker)
    await open_with(broker, FIRST, SECOND, changes={0: a_map()})
    assert (await BatchControl(broker).cancel("q", "m")).state == "cancelled"
    record = await record_of(broker)
    assert (record.marks, record.errors) == ("fu", {0: "its batch was cancelled"})


async def test_the_batch_of_a_map_is_retried_by_its_flow_alone(broker: Broker) -> None:
    (lease,) = await a_flow_that_is_a_map(broker, 1)
    await end(broker, lease, "f")
    with pytest.raises(BatchStateError, match="retry the flow"):
        await BatchControl(broker).retry("q", "m")


# -- what is left behind ---------------------------------------------------------------------------


async def repair(broker: Broker) -> None:
    await broker.batches.repair("q", idle_s=-1, staged_s=0)


async def test_the_tasks_of_a_map_whose_flow_never_came_are_deleted(broker: Broker) -> None:
    await hold_map(broker)
    await broker.batches.repair("q", idle_s=-1, staged_s=60)
    assert (await batch(broker)).state == "waiting"
    await repair(broker)
    assert await broker.inspection.remove("q", force=False) is RemoveResult.DONE


async def test_the_tasks_of_a_map_stay_while_its_flow_may_need_them(broker: Broker) -> None:
    await hold_map(broker, node=1)
    await open_with(broker, FIRST, SECOND, changes={1: a_map()})
    await repair(broker)
    await end_step(broker, "f")
    await repair(broker)
    await retry(broker)
    await end_step(broker)
    await deliver_all(broker, QUEUES)
    assert ids(await take(broker, 9)) == ["m:0", "m:1"]


async def test_a_map_that_was_skipped_is_deleted_once_its_flow_has_succeeded(
    broker: Broker,
) -> None:
    await hold_map(broker, node=1)
    await open_with(broker, FIRST, ("failed", (0,)), changes={1: a_map()})
    await end_step(broker)
    assert await marks_of(broker) == "sx"
    await repair(broker)
    assert await broker.batches.read("q", "m") is None
    assert await take(broker) == []


async def test_a_map_of_a_try_that_came_second_is_deleted_while_the_flow_runs(
    broker: Broker,
) -> None:
    await hold_map(broker, batch_id="map-1")
    await hold_map(broker, batch_id="map-2")
    await open_with(broker, FIRST, changes={0: a_map(batch_id="map-1")})
    await broker.batches.repair("q", idle_s=-1)
    assert await broker.batches.read("q", "map-2") is None
    assert ids(await take(broker, 9)) == ["map-1:0", "map-1:1"]


async def test_a_map_whose_client_was_refused_is_discarded(broker: Broker) -> None:
    await hold_map(broker)
    assert await broker.batches.discard(_ref()) is True
    assert await broker.inspection.remove("q", force=False) is RemoveResult.DONE


async def test_a_map_that_runs_is_not_discarded(broker: Broker) -> None:
    await a_flow_that_is_a_map(broker)
    assert await broker.batches.discard(_ref()) is False


def _ref() -> BatchRef:
    return BatchRef(queue="q", id="m", home="q")


# -- broken records --------------------------------------------------------------------------------


async def test_a_map_whose_flow_cannot_be_read_ends_when_it_can(broker: Broker) -> None:
    flow = a_flow(FIRST, SECOND, changes={0: a_map()})
    await hold_map(broker)
    await open_flow(broker, flow)
    await deliver_all(broker, QUEUES)
    leases = await take(broker, 2)
    await damage_flow(broker, "flow")
    for lease in leases:
        await end(broker, lease)
    assert (await batch(broker)).ended == 2
    await broker.batches.repair("q", idle_s=-1, swept_s=-1)
    await mend_flow(broker, flow)
    await broker.batches.repair("q", idle_s=-1, swept_s=-1)
    assert await marks_of(broker) == "sr"
    assert (await batch(broker)).state == "succeeded"
