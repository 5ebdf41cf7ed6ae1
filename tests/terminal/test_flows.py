"""Flows and batches: what runs, what has ended, and how operators act on flows."""

import pytest

from pyasynq import Batch, Client, Flow, Inspector, Task
from pyasynq.broker import Broker
from pyasynq.core.verdict import DONE
from tests.support.addresses import ON_ONE
from tests.support.factories import settle, take
from tests.support.flows import a_flow, deliver_all, end_step, open_flow
from tests.terminal.view import LARGE, audit_of, dashboard


@pytest.fixture
async def approved(client: Client) -> None:
    """Have a flow of a gate, and a step that waits for it."""
    flow = Flow("import", queue="q", id="7")
    flow.add(Task("publish", b"{}", queue="q"), after=flow.gate("approval"))
    await client.enqueue_flow(flow)


@pytest.mark.usefixtures("approved")
async def test_a_flow_is_listed_and_opened(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "f")
        await view.see("import  7")
        assert view.line("import  7")[:5] == ["running", "import", "7", "q", "0/2"]
        await view.press("enter")
        await view.see("2 steps: 1 running, 1 waiting", "awaits a signal", "waits for approval")


@ON_ONE
async def test_flows_that_have_ended_and_batches_are_listed_apart(
    address: str, client: Client, broker: Broker
) -> None:
    await open_flow(broker, a_flow(("succeeded", ())))
    await end_step(broker, "f")
    info = await client.enqueue_batch(Batch([Task("resize", queue="q")]))
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "f")
        await view.see("No flow is running")
        await view.press("l")
        await view.see("failed import")
        await view.press("l")
        await view.see(info.id)
        await view.press("enter")
        await view.see("1 task matches", f"id:{info.id}:*", "resize")
        await view.press("escape")
        await view.see(info.id)
        await view.press("h", "h")
        await view.see("No flow is running")


@ON_ONE
async def test_a_failed_step_shows_its_error_and_leads_to_its_task(
    address: str, broker: Broker
) -> None:
    await open_flow(broker, a_flow(("succeeded", ()), ("succeeded", (0,))))
    await end_step(broker, "f")
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "f", "l")
        await view.see("failed import")
        await view.press("enter")
        await view.see("2 steps: 1 failed, 1 upstream failed")
        await view.press("enter")
        await view.see("flow:0", "archived")


@pytest.mark.usefixtures("approved")
async def test_a_flow_is_cancelled_and_retried(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.press("g", "f")
        await view.see("import  7")
        await view.press("c")
        await view.agree("Cancel flow import 7?", "Nothing more of it starts")
        await view.see("cancelled: q/7")
        assert (await inspector.flow("q", "7")).state == "cancelled"
        await view.press("l")
        await view.see("import  7")
        await view.press("enter", "r")
        await view.agree("Retry flow import 7?")
        await view.see("runs again: q/7")
    assert (await inspector.flow("q", "7")).state == "running"
    actions = [(it.action, it.target) for it in await audit_of(broker)]
    assert actions == [("flow.cancel", "q/7"), ("flow.retry", "q/7")]


@pytest.mark.usefixtures("approved")
async def test_a_gate_gets_its_signal_and_a_step_is_skipped(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.press("g", "f")
        await view.see("import  7")
        await view.press("enter")
        await view.see("awaits a signal")
        await view.press("v")
        await view.see("Value of the signal of approval, in JSON")
        await view.write("")
        await view.agree("Signal gate approval with true?")
        await view.see("signalled: q/7/approval", "pending")
        await view.press("j", "v")
        await view.see("publish is no gate")
        await view.press("x")
        await view.agree("Skip step publish?")
        await view.see("skipped: q/7/publish")
    assert (await inspector.flow("q", "7")).state == "succeeded"
    actions = [(it.action, it.target) for it in await audit_of(broker)]
    assert actions == [("flow.signal", "q/7/approval"), ("flow.skip", "q/7/publish")]


@ON_ONE
@pytest.mark.usefixtures("approved")
async def test_a_signal_that_is_no_json_is_not_sent(address: str, inspector: Inspector) -> None:
    async with dashboard(address) as view:
        await view.press("g", "f")
        await view.see("import  7")
        await view.press("enter")
        await view.see("awaits a signal")
        await view.press("v")
        await view.see("in JSON")
        await view.write("!")
        await view.see("! is no JSON")
        await view.press("v")
        await view.see("in JSON")
        await view.press("escape")
        await view.see_no("in JSON")
    assert (await inspector.flow("q", "7")).step("approval").state == "running"


@ON_ONE
@pytest.mark.usefixtures("approved")
async def test_read_only_means_that_flows_stay_as_they_are(address: str) -> None:
    async with dashboard(address, read_only=True) as view:
        await view.press("g", "f")
        await view.see("import  7")
        await view.press("c")
        await view.see("nothing can be changed here")
        await view.press("enter")
        await view.see("awaits a signal")
        await view.press("v")
        await view.see("nothing can be changed here")
        await view.see_no("in JSON")


@ON_ONE
async def test_a_step_that_is_a_flow_leads_to_it(address: str, broker: Broker) -> None:
    part = {"flow_id": "inner", "queue": "r"}
    await open_flow(broker, a_flow(("succeeded", ()), changes={0: part}))
    await deliver_all(broker, "q")
    (opener,) = await take(broker, queue="r")
    await settle(broker, opener, DONE)
    await open_flow(broker, a_flow(("succeeded", ()), flow_id="inner", home="r"))
    await end_step(broker, queue="r")
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "f")
        await view.see("running import")
        await view.press("enter")
        await view.see("1 step: 1 running", "(flow)")
        await view.press("enter")
        await view.see("1 step: 1 succeeded", "r / inner")


@ON_ONE
async def test_a_narrow_list_shows_the_time_that_says_more(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "f")
        await view.see("State", "Created")
        await view.see_no("Ended")
        await view.press("l")
        await view.see("State", "Ended")
        await view.see_no("Created")
        await view.press("l")
        await view.see("State", "Created")
        await view.see_no("Ended")
