"""Every broker takes flows on when their steps end, as the core decides."""

import random
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import pytest

from pyasynq.broker import Broker, Lease, RemoveResult
from pyasynq.core.errors import BrokerError
from pyasynq.core.flow import LOCK_HELD, Moves, advance, cancel, id_taken, retry
from pyasynq.core.flow_errors import DuplicateFlowError
from pyasynq.core.flow_record import FLOW, FlowChange, NewFlow
from pyasynq.core.report import Place, Report, pack_output
from pyasynq.core.states import TaskState
from tests.broker.test_following_tasks import waiting
from tests.support.factories import (
    LOCK,
    a_pending,
    enqueue,
    ids,
    settle,
    take,
)
from tests.support.flow_model import QUEUES, StepShape, a_graph, outcomes
from tests.support.flows import (
    a_flow,
    deliver_all,
    end_step,
    ending,
    marks_of,
    open_flow,
    record_of,
)
from tests.support.waiting import wait_until

FIRST: StepShape = ("succeeded", ())
CHAIN: Sequence[StepShape] = (FIRST, ("succeeded", (0,)), ("succeeded", (1,)))
DIAMOND: Sequence[StepShape] = (
    FIRST,
    ("succeeded", (0,)),
    ("succeeded", (0,)),
    ("succeeded", (1, 2)),
)
GATE = {"type": "", "task_id": ""}

pytestmark = pytest.mark.needs("flows")


# -- opening and reading ---------------------------------------------------------------------------


async def test_a_new_flow_starts_the_steps_that_wait_for_none(broker: Broker) -> None:
    await open_flow(broker, a_flow(FIRST, FIRST, ("succeeded", (0, 1))))
    assert await waiting(broker, TaskState.PENDING) == ["flow:0", "flow:1"]
    assert await marks_of(broker) == "rrw"


async def test_a_flow_is_opened_once(broker: Broker) -> None:
    await open_flow(broker, a_flow(*CHAIN))
    assert await broker.flows.open(a_flow(*CHAIN)) is False
    assert await waiting(broker, TaskState.PENDING) == ["flow:0"]


async def test_a_stored_flow_comes_back(broker: Broker) -> None:
    flow = a_flow(*DIAMOND, queues="qrqs")
    await open_flow(broker, flow)
    record = await record_of(broker)
    assert (record.spec, record.state, record.ended_s) == (flow.spec, "running", 0)
    assert [await broker.flows.plans("q", "flow", [n]) for n in range(4)] == [
        [plan] for plan in flow.plans
    ]


async def test_there_may_be_no_such_flow(broker: Broker) -> None:
    assert await broker.flows.read("q", "gone") is None
    assert await broker.flows.outputs("q", "gone", [0]) is None
    assert await broker.flows.plans("q", "gone", [0, 1]) == [None, None]
    assert await broker.flows.list("q", running=True, start=0, count=9) == []


async def test_flows_are_listed_by_what_they_do(broker: Broker) -> None:
    for flow_id in ("1", "2", "3"):
        await open_flow(broker, a_flow(FIRST, flow_id=flow_id))
    await end_step(broker)
    running = await broker.flows.list("q", running=True, start=0, count=9)
    ended = await broker.flows.list("q", running=False, start=0, count=9)
    assert [{flow.id for flow in flows} for flows in (running, ended)] == [{"2", "3"}, {"1"}]
    assert len(await broker.flows.list("q", running=True, start=1, count=1)) == 1


async def test_of_flows_that_have_ended_the_one_that_is_kept_longest_comes_first(
    broker: Broker,
) -> None:
    for flow_id, mark in (("1", "f"), ("2", "s"), ("3", "f")):
        await open_flow(broker, a_flow(FIRST, flow_id=flow_id))
        await end_step(broker, mark)
    ended = await broker.flows.list("q", running=False, start=0, count=9)
    assert [flow.state for flow in ended] == ["failed", "failed", "succeeded"]


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("queues", ["qqq", "qrs", "rrr"])
async def test_a_chain_runs_one_step_after_the_other(broker: Broker, queues: str) -> None:
    await open_flow(broker, a_flow(*CHAIN, queues=queues))
    seen: list[str] = []
    for queue in queues:
        seen.append((await end_step(broker, queue=queue)).id)
        await deliver_all(broker, QUEUES)
    record = await record_of(broker)
    assert (seen, record.marks, record.state) == (
        ["flow:0", "flow:1", "flow:2"],
        "sss",
        "succeeded",
    )
    assert record.ended_s > 0


async def test_a_step_waits_for_all_before_it(broker: Broker) -> None:
    await open_flow(broker, a_flow(*DIAMOND))
    await end_step(broker)
    await end_step(broker)
    assert await marks_of(broker) == "ssrw"
    await end_step(broker)
    assert ids(await take(broker, 9)) == ["flow:3"]


async def test_a_failure_ends_what_follows_and_starts_what_waits_for_it(broker: Broker) -> None:
    flow = a_flow(FIRST, ("succeeded", (0,)), ("succeeded", (1,)), ("failed", (2,)))
    await open_flow(broker, flow)
    await end_step(broker, "f")
    record = await record_of(broker)
    assert (record.marks, record.state, record.errors) == ("fuur", "running", {0: "boom"})
    await end_step(broker)
    assert (await record_of(broker)).state == "failed"


async def test_a_step_is_told_what_another_has_returned(broker: Broker) -> None:
    await open_flow(broker, a_flow(*CHAIN, queues="qrq"))
    output = pack_output("", bytes(range(256)) * 300)
    await end_step(broker, output=output)
    await end_step(broker, queue="r")
    assert await broker.flows.outputs("q", "flow", [1, 0, 2]) == [None, output, None]


async def test_a_report_counts_once(broker: Broker) -> None:
    await open_flow(broker, a_flow(*CHAIN))
    await end_step(broker)
    place = Place(kind="flow", queue="q", id="flow", node=0)
    before = await record_of(broker)
    await broker.flows.report([Report(place=place, result="failed", error="late")] * 2)
    assert await record_of(broker) == before


async def test_a_report_of_an_earlier_try_does_not_count(broker: Broker) -> None:
    await open_flow(broker, a_flow(FIRST))
    place = Place(kind="flow", queue="q", id="flow", node=0, member=1)
    await broker.flows.report([Report(place=place, result="succeeded")])
    assert await marks_of(broker) == "r"


async def test_a_lost_lease_reports_nothing(broker: Broker) -> None:
    await open_flow(broker, a_flow(*CHAIN))
    (lease,) = await take(broker)
    lease.owner = "another"
    assert await settle(broker, lease, ending(lease)) is False
    assert await marks_of(broker) == "rww"


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_step_whose_id_is_taken_has_failed(broker: Broker, queue: str) -> None:
    await enqueue(broker, a_pending("flow:1", queue=queue))
    await open_flow(broker, a_flow(*CHAIN, queues=["q", queue, "q"]))
    if queue == "q":
        await take(broker)  # the other task, which was there first
    await end_step(broker)
    await deliver_all(broker, QUEUES)
    record = await record_of(broker)
    assert (record.marks, record.state) == ("sfu", "failed")
    assert record.errors == {1: id_taken("flow:1")}


async def test_a_step_whose_lock_is_held_has_failed(broker: Broker) -> None:
    await enqueue(broker, a_pending("other", lock=LOCK))
    flow = a_flow(FIRST, FIRST)
    plan = a_pending("flow:0", lock=LOCK)
    await open_flow(broker, msgspec.structs.replace(flow, plans=[plan, flow.plans[1]]))
    record = await record_of(broker)
    assert record.marks == "fr"
    assert record.errors == {0: LOCK_HELD}


@pytest.mark.parametrize("queue", ["q", "r"])
async def test_a_delay_counts_from_the_moment_at_which_a_step_may_run(
    broker: Broker, queue: str
) -> None:
    flow = a_flow(FIRST, ("succeeded", (0,)), queues=["q", queue], changes={1: {"delay_s": 9}})
    await open_flow(broker, flow)
    await end_step(broker)
    assert await waiting(broker, TaskState.SCHEDULED, queue) == ["flow:1"]
    assert await take(broker, queue=queue) == []


async def test_a_thousand_steps_start_and_are_awaited(broker: Broker) -> None:
    many = [("succeeded", (0,))] * 998
    flow = a_flow(FIRST, *many, ("ended", tuple(range(999))))  # type: ignore[arg-type]
    await open_flow(broker, flow)
    await end_step(broker)
    while leases := await take(broker, 100):
        if leases[0].id == "flow:999":
            break
        answers = await broker.work.settle([(lease, ending(lease)) for lease in leases])
        assert set(answers) == {True}
    assert await marks_of(broker) == "s" * 999 + "r"


# -- gates and changes -----------------------------------------------------------------------------


async def change(broker: Broker, moves: Moves, **fields: object) -> bool:
    record = await record_of(broker)
    return await broker.flows.change(record, FlowChange(moves=moves, **fields))  # type: ignore[arg-type]


async def test_a_gate_waits_for_its_output(broker: Broker) -> None:
    flow = a_flow(FIRST, ("succeeded", (0,)), changes={0: GATE})
    await open_flow(broker, flow)
    assert await take(broker) == []
    moves = advance(flow.spec.nodes, "rw", 0, "s")
    assert await change(broker, moves, outputs={0: b"yes"}) is True
    assert ids(await take(broker)) == ["flow:1"]
    assert await broker.flows.outputs("q", "flow", [0]) == [b"yes"]


async def test_a_gate_that_has_its_output_does_not_wait(broker: Broker) -> None:
    flow = a_flow(FIRST, ("succeeded", (0,)), ("succeeded", (1,)), changes={1: GATE})
    await open_flow(broker, flow)
    assert await change(broker, Moves("rww", ()), outputs={1: b"yes"}) is True
    await end_step(broker)
    assert await marks_of(broker) == "ssr"


async def test_a_change_needs_the_present_record(broker: Broker) -> None:
    flow = a_flow(*CHAIN)
    await open_flow(broker, flow)
    record = await record_of(broker)
    await end_step(broker)
    moves = cancel(flow.spec.nodes, record.marks)
    assert await broker.flows.change(record, FlowChange(moves=moves, state="cancelled")) is False
    assert (await record_of(broker)).state == "running"


async def test_a_cancelled_flow_starts_nothing_more(broker: Broker) -> None:
    flow = a_flow(*CHAIN)
    await open_flow(broker, flow)
    moves = cancel(flow.spec.nodes, "rww")
    assert await change(broker, moves, state="cancelled", reason="why") is True
    await end_step(broker)
    record = await record_of(broker)
    assert (record.state, record.marks, record.reason) == ("cancelled", "sxx", "why")
    assert await take(broker) == []
    assert [it.id for it in await broker.flows.list("q", running=False, start=0, count=9)] == [
        "flow"
    ]


async def test_a_flow_that_is_retried_runs_again(broker: Broker) -> None:
    flow = a_flow(*CHAIN)
    await open_flow(broker, flow)
    await end_step(broker, "f")
    plan = a_pending("flow:0:1", headers=_headers_of(flow, 0, times=1))
    moves = retry(flow.spec.nodes, "fuu", was_cancelled=False)
    assert await change(broker, moves, plans={0: plan}, times={0: 1}, errors={0: ""}) is True
    record = await record_of(broker)
    assert (record.state, record.marks, record.times, record.ended_s) == (
        "running",
        "rww",
        {0: 1},
        0,
    )
    assert record.task_id(0) == "flow:0:1"
    for _ in range(3):
        await end_step(broker)
    assert (await record_of(broker)).state == "succeeded"


async def test_a_flow_that_is_retried_is_cancelled_for_no_reason_any_more(broker: Broker) -> None:
    flow = a_flow(*CHAIN)
    await open_flow(broker, flow)
    cancelled = cancel(flow.spec.nodes, "rww")
    assert await change(broker, cancelled, state="cancelled", reason="why") is True
    moves = retry(flow.spec.nodes, "rxx", was_cancelled=True)
    assert await change(broker, moves) is True
    record = await record_of(broker)
    assert (record.state, record.info().reason) == ("running", None)


def _headers_of(flow: NewFlow, number: int, *, times: int) -> dict[str, str]:
    plan = flow.plans[number]
    assert plan is not None
    headers = dict(plan.message.headers)
    return {name: text.replace(",0,false", f",{times},false") for name, text in headers.items()}


# -- care ------------------------------------------------------------------------------------------


async def test_an_idle_flow_needs_care_and_nobody_else_gets_it(broker: Broker) -> None:
    await open_flow(broker, a_flow(FIRST))
    assert (await broker.flows.look_after("q", idle_s=60, count=9)).idle == []
    assert (await broker.flows.look_after("q", idle_s=-1, count=9)).idle == ["flow"]
    assert (await broker.flows.look_after("q", idle_s=1, count=9)).idle == []


async def test_a_flow_that_has_ended_needs_no_care(broker: Broker) -> None:
    await open_flow(broker, a_flow(FIRST))
    await end_step(broker)
    assert (await broker.flows.look_after("q", idle_s=-1, count=9)).idle == []


async def test_what_is_not_over_needs_no_care(broker: Broker) -> None:
    flow = a_flow(FIRST, changes={0: GATE | {"timeout_s": 1000}})
    spec = msgspec.structs.replace(flow.spec, timeout_s=1000)
    await open_flow(broker, msgspec.structs.replace(flow, spec=spec))
    assert (await broker.flows.look_after("q", idle_s=60, count=9)).timers == []


async def test_what_is_over_needs_care(broker: Broker) -> None:
    flow = a_flow(FIRST, changes={0: GATE | {"timeout_s": 1}})
    spec = msgspec.structs.replace(flow.spec, timeout_s=1)
    await open_flow(broker, msgspec.structs.replace(flow, spec=spec))
    found: set[tuple[str, int]] = set()
    while len(found) < 2:
        timers = (await broker.flows.look_after("q", idle_s=60, count=9)).timers
        found |= {(timer.id, timer.node) for timer in timers}
    assert found == {("flow", FLOW), ("flow", 0)}


async def test_a_queue_with_a_flow_that_runs_is_removed_only_by_force(broker: Broker) -> None:
    await open_flow(broker, a_flow(FIRST, changes={0: GATE}))
    assert await broker.inspection.remove("q", force=False) is RemoveResult.NOT_EMPTY
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await broker.flows.read("q", "flow") is None


async def test_a_queue_with_flows_that_have_ended_is_removed_with_them(broker: Broker) -> None:
    for number in range(30):
        await open_flow(broker, a_flow(FIRST, flow_id=f"{number}"))
        await end_step(broker)
    assert await broker.inspection.remove("q", force=False) is RemoveResult.DONE
    assert await broker.flows.list("q", running=False, start=0, count=99) == []


# -- random flows under faults ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(24))
async def test_random_flows_end_as_the_model_says_whatever_is_lost_or_doubled(
    broker: Broker, seed: int
) -> None:
    chance = random.Random(seed)
    graphs = [a_graph(chance) for _ in range(3)]
    for number, graph in enumerate(graphs):
        home = chance.choice(QUEUES)
        flow = a_flow(*graph.steps, flow_id=f"{number}", home=home, queues=graph.queues)
        opened = [await broker.flows.open(flow) for _ in range(chance.randint(1, 2))]
        assert opened[0] is True
    ended = await run_with_faults(broker, chance, [graph.ends for graph in graphs])
    assert len(ended) == len(set(ended))  # each task has ended once
    for number, graph in enumerate(graphs):
        records = [await broker.flows.read(home, f"{number}") for home in QUEUES]
        (record,) = [it for it in records if it is not None]
        assert record.marks == outcomes(graph)
        assert record.state == ("failed" if "f" in record.marks else "succeeded")


async def run_with_faults(broker: Broker, chance: random.Random, ends: Sequence[str]) -> list[str]:
    """Run all steps of flows; return the ids of the tasks that have ended.

    Workers die with tasks, settle twice, and with a lost lease; mail waits, and is sent late.
    """
    ended: list[str] = []
    idle = 0
    while idle < 3:
        idle += 1
        for queue in chance.sample(QUEUES, len(QUEUES)):
            if chance.random() < 0.5:
                await deliver_all(broker, [queue])
            for lease in await take(broker, chance.randint(1, 4), queue=queue):
                idle = 0
                ended += await _end(broker, chance, lease, ends)
        if idle:
            await deliver_all(broker, QUEUES)
    return ended


async def _end(
    broker: Broker, chance: random.Random, lease: Lease, ends: Sequence[str]
) -> list[str]:
    number, _, node = lease.id.partition(":")
    verdict = ending(lease, ends[int(number)][int(node)])
    if chance.random() < 0.2:  # its worker dies, and it runs again
        await broker.work.undo_dequeue(lease.queue, lease.owner)
        return []
    answers = [await settle(broker, lease, verdict) for _ in range(chance.randint(1, 2))]
    assert not any(isinstance(answer, BrokerError) for answer in answers)
    return [lease.id] * answers.count(True)


# -- one flow of a name ----------------------------------------------------------------------------


def unique(flow_id: str, *, name: str = "import", unique_s: int = 1000) -> NewFlow:
    """Return a flow of one step, whose name no other may have while it runs."""
    flow = a_flow(FIRST, flow_id=flow_id)
    spec = msgspec.structs.replace(flow.spec, name=name)
    return msgspec.structs.replace(flow, spec=spec, unique_s=unique_s)


async def test_only_one_flow_of_a_name_runs(broker: Broker) -> None:
    await open_flow(broker, unique("1"))
    with pytest.raises(DuplicateFlowError, match="'1' of 'q' has this name, and runs"):
        await broker.flows.open(unique("2"))
    assert await broker.flows.read("q", "2") is None
    assert await broker.flows.open(unique("1")) is False
    await open_flow(broker, unique("3", name="other"))
    await open_flow(broker, a_flow(FIRST, flow_id="4"))
    assert await waiting(broker, TaskState.PENDING) == ["1:0", "3:0", "4:0"]


@pytest.mark.parametrize("mark", ["s", "f", "x"])
async def test_a_name_is_free_when_its_flow_has_ended(broker: Broker, mark: str) -> None:
    await open_flow(broker, unique("1"))
    await end_step(broker, mark)
    await open_flow(broker, unique("2"))
    with pytest.raises(DuplicateFlowError):
        await broker.flows.open(unique("3"))


async def test_a_name_is_free_when_its_flow_was_cancelled(broker: Broker) -> None:
    flow = unique("flow")
    await open_flow(broker, flow)
    await change(broker, cancel(flow.spec.nodes, "r"), state="cancelled")
    await open_flow(broker, unique("2"))


async def test_a_name_is_free_after_some_time(broker: Broker) -> None:
    await open_flow(broker, unique("1", unique_s=1))

    async def opens() -> bool:
        with suppress(DuplicateFlowError):
            return await broker.flows.open(unique("2"))
        return False

    await wait_until(opens)
    await end_step(broker)
    with pytest.raises(DuplicateFlowError, match="'2' of"):
        await broker.flows.open(unique("3"))


async def test_a_retried_flow_does_not_lock_its_name_again(broker: Broker) -> None:
    flow = unique("flow")
    await open_flow(broker, flow)
    await end_step(broker, "f")
    moves = retry(flow.spec.nodes, "f", was_cancelled=False)
    assert await change(broker, moves, plans={0: a_pending("flow:0:1")}, times={0: 1})
    await open_flow(broker, unique("2"))


async def test_names_are_free_when_their_queue_was_removed(broker: Broker) -> None:
    await open_flow(broker, unique("1"))
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    await open_flow(broker, unique("2"))
