"""Numbers come by themselves; old ones are marked as old, and nothing can be done with them."""

import asyncio
import json

from playwright.async_api import Locator, Page, Route, expect

import pyasynq
from pyasynq.dashboard import Dashboard
from tests.dashboard.browser.conftest import Serve
from tests.support.chromium import Visitor
from tests.support.servers import RedisServer

HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true })
  document.dispatchEvent(new Event("visibilitychange"))
}"""


def queue(page: Page) -> Locator:
    return page.get_by_role("table", name="Queues").get_by_role("row").filter(has_text="default")


async def test_new_tasks_appear_by_themselves(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open(site)
    await expect(queue(page).get_by_title("1 pending")).to_be_visible()
    await client.enqueue(pyasynq.Task("a"))
    await expect(queue(page).get_by_title("2 pending")).to_be_visible()
    await expect(page.get_by_text("live · 1 s")).to_be_visible()


async def test_a_hidden_page_reads_nothing_until_it_is_shown_again(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open(site)
    await expect(queue(page).get_by_title("1 pending")).to_be_visible()
    streams = page.expect_request("**/api/v1/events")
    await page.evaluate(HIDE, True)
    await client.enqueue(pyasynq.Task("a"))
    async with streams:
        await page.evaluate(HIDE, False)
    await expect(queue(page).get_by_title("2 pending")).to_be_visible()


async def test_without_a_stream_the_page_asks_every_few_seconds(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open("about:blank")
    await page.route("**/api/v1/events", lambda route: route.fulfill(status=503))
    await page.goto(site)
    await expect(page.get_by_text("every 5 s")).to_be_visible()
    await client.enqueue(pyasynq.Task("a"))
    await expect(queue(page).get_by_title("2 pending")).to_be_visible()


async def test_when_redis_is_away_the_page_says_so_and_recovers(
    serve: Serve, visitor: Visitor
) -> None:
    with RedisServer() as server:
        async with pyasynq.Client(server.url) as client:
            await client.enqueue(pyasynq.Task("a"))
        async with Dashboard(server.url) as dashboard:
            page = await visitor.open(f"{await serve(dashboard)}/")
            await expect(queue(page)).to_be_visible()
            server.kill()
            banner = page.get_by_role("status").filter(has_text="Redis does not answer")
            await expect(banner).to_be_visible()
            await page.get_by_role("button", name="Actions for default").click()
            await expect(page.get_by_role("menuitem", name="Pause")).to_be_disabled()
            server.restart()
            await expect(banner).to_have_count(0)


async def test_numbers_that_are_old_are_marked(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open("about:blank")
    await page.clock.install()
    await page.route("**/api/v1/events", lambda route: route.fulfill(status=503))
    await page.goto(site)
    await expect(queue(page)).to_be_visible()
    is_back = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await is_back.wait()
        await route.continue_()

    await page.route("**/api/v1/overview", answer_late)
    await page.clock.fast_forward(60_000)
    stale = page.get_by_role("status").filter(has_text="These numbers are")
    await expect(stale).to_be_visible()
    await expect(page.get_by_role("region", name="Queues")).to_have_class("panel old")
    is_back.set()
    await expect(stale).to_have_count(0)


async def test_rows_keep_their_places_while_the_pointer_is_in_the_table(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"), queue="b")
    page = await visitor.open(f"{site}#/?sort=queue")
    table = page.get_by_role("table", name="Queues")
    await table.get_by_role("link", name="b").hover()
    await client.enqueue(pyasynq.Task("a"), queue="a")
    await expect(page.get_by_text("1 new")).to_be_visible()
    await page.get_by_role("heading", level=1).hover()
    await expect(table.get_by_role("row").nth(1)).to_contain_text("a")


async def test_a_job_of_somebody_else_is_shown_and_can_be_stopped(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open("about:blank")
    stopped: list[str] = []

    async def add_a_job(route: Route) -> None:
        answer = await route.fetch()
        document = await answer.json()
        document["jobs"] = [JOB]
        await route.fulfill(response=answer, body=json.dumps(document))

    async def stop(route: Route) -> None:
        stopped.append(json.loads(route.request.post_data or "{}")["id"])
        await route.fulfill(json=JOB | {"status": "stopped"})

    await page.route("**/api/v1/events", lambda route: route.fulfill(status=503))
    await page.route("**/api/v1/overview", add_a_job)
    await page.route("**/api/v1/jobs/stop", stop)
    await page.goto(site)
    region = page.get_by_role("region", name="Deleting")
    await expect(region).to_contain_text("812 of 1,204")
    async with page.expect_response("**/api/v1/jobs/stop"):
        await region.get_by_role("button", name="Stop").click()
    assert stopped == ["7"]


JOB = {
    "id": "7",
    "action": "task.delete",
    "q": "state:retry",
    "dry_run": False,
    "status": "running",
    "total": 48_310,
    "looked_at": 10_000,
    "matched": 1_204,
    "done": 812,
    "refused": 0,
    "queues": {"default": 1_204},
    "by": "somebody",
    "started": "2026-11-27T20:00:00Z",
    "ended": None,
    "error": None,
}
