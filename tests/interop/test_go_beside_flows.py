"""Go runs steps of flows as tasks like any; a server of Python notices how they have ended."""

from datetime import timedelta

import pytest

from pyasynq import Client, Clock, Flow, Inspector, Task
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.upkeep import flow_recoverer
from pyasynq.server.upkeep.flow_recoverer import FlowRecoverer
from tests.interop.gopeer import Peer

HOUR = timedelta(hours=1)


async def a_flow(client: Client, **options: timedelta) -> None:
    """Enqueue a flow of two steps in ``q``."""
    flow = Flow("import", queue="q", id="flow")
    first = flow.add(Task("t", b"first", queue="q", **options))  # type: ignore[arg-type]
    flow.add(Task("t", b"second", queue="q", **options), after=first)  # type: ignore[arg-type]
    await client.enqueue_flow(flow)


@pytest.mark.parametrize(
    ("options", "states"),
    [({"retention": HOUR}, ["succeeded", "running"]), ({}, ["failed", "upstream_failed"])],
)
async def test_a_step_that_go_ran_is_noticed(
    go_peer: Peer,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, timedelta],
    states: list[str],
) -> None:
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await a_flow(client, **options)
        async with go_peer.work(queues="q") as worker:
            (event,) = await worker.wait_for("done")
        assert event["payload"] == b"first"
        outages = OutageLog("Redis")
        await FlowRecoverer(client.broker, "q", clock=Clock(), outages=outages).step()
        assert [step.state for step in (await inspector.flow("q", "flow")).steps] == states


async def test_go_inspects_a_queue_with_flows_and_leaves_them(
    go_peer: Peer, redis_url: str
) -> None:
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await a_flow(client)
        [queue] = await go_peer.inspect("queue", "q")
        assert (queue["size"], queue["pending"]) == (1, 1)
        task = await go_peer.task("q", "flow:t")
        assert task.type == "t"
        assert [flow.id for flow in await inspector.flows("q")] == ["flow"]


async def test_tasks_of_a_map_that_go_ran_are_noticed(go_peer: Peer, redis_url: str) -> None:
    flow = Flow("import", queue="q", id="flow")
    flow.map([Task("t", queue="q", retention=HOUR)] * 2, name="map")
    flow.add(Task("t", queue="other"), after=flow.all, name="last")
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        await client.enqueue_flow(flow)
        async with go_peer.work(queues="q") as worker:
            await worker.wait_for("done", count=2)
        repair = await client.broker.batches.repair("q", idle_s=-1, swept_s=-1)
        assert repair.noticed == 2
        await client.broker.mail.deliver("q")
        info = await inspector.flow("q", "flow")
        assert [step.state for step in info.steps] == ["succeeded", "running"]
