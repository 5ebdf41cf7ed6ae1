"""Flows and batches on their pages: lists, graphs, and what operators do to flows."""

import pytest
from playwright.async_api import expect

import pyasynq
from pyasynq.broker import Broker
from pyasynq.dashboard import Dashboard
from tests.dashboard.browser.conftest import Serve
from tests.dashboard.browser.test_actions import row, said
from tests.support.chromium import Visitor
from tests.support.flows import a_flow, end_step, open_flow
from tests.support.subflows import Crew, nested, open_nested

HOSTILE = '<img src="x" onerror="alert(1)">\u202e${7*7}'


@pytest.fixture
async def approved(client: pyasynq.Client) -> None:
    """Have a flow of a gate, and a step that waits for it."""
    flow = pyasynq.Flow("import", queue="q", id="7")
    flow.add(pyasynq.Task("publish", b"{}", queue="q"), after=flow.gate("approval"))
    await client.enqueue_flow(flow)


@pytest.mark.usefixtures("approved")
async def test_a_flow_is_listed_and_shows_its_graph_and_steps(site: str, visitor: Visitor) -> None:
    page = await visitor.open(f"{site}#/flows")
    await expect(row(page, "Flows", "import")).to_contain_text("0 of 2")
    await page.get_by_role("link", name="import").click()
    await expect(page.locator(".pill")).to_have_text("running")
    graph = page.get_by_role("region", name="Graph")
    await expect(graph).to_contain_text("awaits its signal")
    await expect(graph.locator("path.e")).to_have_count(1)
    await expect(row(page, "Steps", "publish")).to_contain_text("waits for approval")


async def test_a_failed_step_shows_its_error_and_leads_to_its_task(
    site: str, visitor: Visitor, broker: Broker
) -> None:
    await open_flow(broker, a_flow(("succeeded", ()), ("succeeded", (0,))))
    await end_step(broker, "f")
    page = await visitor.open(f"{site}#/flows")
    await expect(page.get_by_role("heading", name="No flow is running")).to_be_visible()
    await page.get_by_role("button", name="ended").click()
    await page.get_by_role("link", name="import").click()
    await expect(row(page, "Steps", "not run")).to_have_count(1)
    await page.get_by_role("table", name="Steps").get_by_role("link", name="0").click()
    await expect(page.locator(".pill")).to_have_text("archived")
    await page.get_by_label("Facts").get_by_role("link", name="flow", exact=True).click()
    await expect(page.locator(".pill")).to_have_text("failed")


@pytest.mark.usefixtures("approved")
async def test_a_flow_is_cancelled_after_a_question_and_retried(
    site: str, visitor: Visitor, inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/flow/q/7")
    await page.get_by_role("button", name="Cancel all").click()
    await page.get_by_role("dialog").get_by_role("button", name="Back").click()
    assert (await inspector.flow("q", "7")).state == "running"
    await page.get_by_role("button", name="Cancel all").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel all").click()
    await said(page, "It is cancelled")
    await expect(page.locator(".pill")).to_have_text("cancelled")
    await page.get_by_role("button", name="Retry what failed").click()
    await expect(page.locator(".pill")).to_have_text("running")
    assert (await inspector.flow("q", "7")).state == "running"


@pytest.mark.usefixtures("approved")
async def test_a_gate_gets_its_signal_and_a_step_is_skipped_by_keys_alone(
    site: str, visitor: Visitor, inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/flow/q/7")
    await expect(page.locator(".pill")).to_have_text("running")
    await page.keyboard.press("v")
    await page.get_by_role("dialog").get_by_label("Value, in JSON").fill("nothing")
    await page.keyboard.press("Enter")
    await said(page, "The value is not JSON")
    await page.keyboard.press("v")
    await page.get_by_role("dialog").get_by_label("Value, in JSON").fill('{"by": "ann"}')
    await page.keyboard.press("Enter")
    await said(page, "The gate has its signal")
    await expect(row(page, "Steps", "publish")).to_contain_text("pending")
    await page.keyboard.press("x")
    await expect(page.get_by_role("dialog").get_by_label("Step")).to_have_value("publish")
    await page.get_by_role("dialog").get_by_role("button", name="Skip a step").press("Enter")
    await expect(page.locator(".pill")).to_have_text("succeeded")
    assert (await inspector.flow("q", "7")).state == "succeeded"


async def test_a_batch_shows_who_of_it_has_failed(
    site: str, visitor: Visitor, client: pyasynq.Client, broker: Broker
) -> None:
    info = await client.enqueue_batch(
        pyasynq.Batch([pyasynq.Task("resize", b"%d" % n, queue="q") for n in range(3)])
    )
    await end_step(broker, "f")
    page = await visitor.open(f"{site}#/flows?show=batches")
    await expect(row(page, "Flows", info.id)).to_contain_text("1 of 3")
    await page.get_by_role("link", name=info.id).click()
    await page.get_by_role("link", name=f"{info.id}:0").click()
    await expect(page.locator(".pill")).to_have_text("archived")
    await page.go_back()
    await page.get_by_role("link", name="All members").click()
    await expect(page.get_by_text("3 tasks match")).to_be_visible()


async def test_a_batch_is_cancelled_after_a_question_and_one_that_failed_runs_again(
    site: str,
    visitor: Visitor,
    client: pyasynq.Client,
    broker: Broker,
    inspector: pyasynq.Inspector,
) -> None:
    failed, running = [
        await client.enqueue_batch(pyasynq.Batch([pyasynq.Task("resize", queue=queue)]))
        for queue in ("q", "r")
    ]
    await end_step(broker, "f")
    page = await visitor.open(f"{site}#/batch/r/{running.id}")
    await page.get_by_role("button", name="Cancel all").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel all").click()
    await expect(page.locator(".pill")).to_have_text("cancelled")
    assert (await inspector.batch("r", running.id)).state == "cancelled"
    await page.goto(f"{site}#/batch/q/{failed.id}")
    await page.get_by_role("button", name="Retry what failed").click()
    await expect(page.locator(".pill")).to_have_text("running")


async def test_a_map_leads_to_the_batch_that_it_is(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    flow = pyasynq.Flow("album", queue="q", id="7")
    flow.map([pyasynq.Task("resize", b"%d" % n, queue="q") for n in range(3)], name="resize")
    await client.enqueue_flow(flow)
    page = await visitor.open(f"{site}#/flow/q/7")
    await expect(row(page, "Steps", "resize")).to_contain_text("× 3")
    await page.get_by_role("table", name="Steps").get_by_role("link", name="resize").click()
    await expect(page.get_by_text("0 of 3")).to_be_visible()


@pytest.mark.parametrize("kind", ["flow", "batch"])
async def test_what_is_no_longer_kept_is_said_to_be_gone(
    kind: str, site: str, visitor: Visitor
) -> None:
    page = await visitor.open(f"{site}#/{kind}/q/none")
    await expect(page.get_by_role("heading", name="not there any more")).to_be_visible()


async def test_hostile_names_of_flows_and_steps_are_text(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    flow = pyasynq.Flow(HOSTILE, queue="q", id=HOSTILE)
    gates = [flow.gate("constructor"), flow.gate("__proto__")]
    flow.add(pyasynq.Task("t", queue="q"), name=HOSTILE, after=gates)
    await client.enqueue_flow(flow)
    page = await visitor.open(f"{site}#/flows")
    await page.get_by_role("link", name="<img src").click()
    await expect(page.get_by_role("region", name="Graph")).to_contain_text("<img src=")
    await expect(row(page, "Steps", "waits for")).to_contain_text("U+202E")
    assert await page.locator("main img").count() == 0


async def test_a_large_flow_is_a_table_alone(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    flow = pyasynq.Flow("wide", queue="q", id="7")
    for _ in range(300):
        flow.add(pyasynq.Task("t", queue="q"))
    await client.enqueue_flow(flow)
    page = await visitor.open(f"{site}#/flow/q/7")
    await expect(page.get_by_role("table", name="Steps").get_by_role("row")).to_have_count(301)
    await expect(page.get_by_role("region", name="Graph")).to_have_count(0)


@pytest.mark.usefixtures("approved")
async def test_who_may_only_look_sees_no_action(
    redis_url: str, serve: Serve, visitor: Visitor
) -> None:
    async with Dashboard(redis_url, read_only=True) as dashboard:
        page = await visitor.open(f"{await serve(dashboard)}/#/flow/q/7")
        await expect(page.locator(".pill")).to_have_text("running")
        await expect(page.get_by_role("button", name="Cancel all")).to_have_count(0)
        await page.keyboard.press("c")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_step_that_is_a_flow_leads_to_it(
    site: str, visitor: Visitor, broker: Broker
) -> None:
    outer = await open_nested(broker, nested(queue="r"))
    await Crew(broker).run(2)
    page = await visitor.open(f"{site}#/flow/q/{outer.id}")
    steps = page.get_by_role("table", name="Steps")
    await steps.get_by_role("link", name="inner", exact=True).click()
    await expect(page.get_by_role("heading", name="inner")).to_be_visible()
    await expect(row(page, "Steps", "s-2")).to_contain_text("waits for s")


async def test_flows_of_the_list_are_cancelled_and_retried_by_keys_alone(
    site: str, visitor: Visitor, client: pyasynq.Client, inspector: pyasynq.Inspector
) -> None:
    for name in ("export", "import"):
        flow = pyasynq.Flow(name, queue="q", id=name)
        flow.gate("approval")
        await client.enqueue_flow(flow)
    page = await visitor.open(f"{site}#/flows?sort=name")
    first, second = (page.get_by_role("link", name=name) for name in ("export", "import"))
    await expect(second).to_be_visible()
    await page.keyboard.press("j")
    await expect(first).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(second).to_be_focused()
    await page.keyboard.press("c")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel all").press("Enter")
    await said(page, "It is cancelled")
    assert (await inspector.flow("q", "import")).state == "cancelled"
    assert (await inspector.flow("q", "export")).state == "running"
    await page.goto(f"{site}#/flows?show=ended")
    await expect(row(page, "Flows", "import")).to_have_count(1)
    await page.keyboard.press("j")
    await page.keyboard.press("r")
    await said(page, "What failed runs again")
    assert (await inspector.flow("q", "import")).state == "running"
