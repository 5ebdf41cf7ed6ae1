"""What a reader may not do is not offered."""

from playwright.async_api import expect
from starlette.requests import Request

import pyasynq
from pyasynq.dashboard import Dashboard, Principal, Role
from tests.dashboard.browser.conftest import Serve
from tests.support.chromium import Visitor


def viewer(_request: Request) -> Principal:
    return Principal(name="vera", role=Role.VIEWER)


def nobody(_request: Request) -> None:
    return None


async def test_a_read_only_dashboard_says_so_once_and_offers_no_action(
    redis_url: str, serve: Serve, visitor: Visitor, client: pyasynq.Client
) -> None:
    info = await client.enqueue(pyasynq.Task("a"))
    async with Dashboard(redis_url, read_only=True) as dashboard:
        site = await serve(dashboard)
        page = await visitor.open(f"{site}/#/task/default/{info.id}")
        await expect(page.get_by_role("status").filter(has_text="read-only")).to_be_visible()
        await expect(page.get_by_role("button", name="Copy as CLI")).to_be_visible()
        await expect(page.get_by_role("button", name="Delete")).to_have_count(0)
        await page.goto(f"{site}/#/")
        await expect(page.get_by_role("table", name="Queues")).to_contain_text("default")
        await expect(page.get_by_role("button", name="Actions for default")).to_have_count(0)


async def test_a_viewer_sees_tasks_but_no_actions(
    redis_url: str, serve: Serve, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    async with Dashboard(redis_url, authorize=viewer) as dashboard:
        page = await visitor.open(f"{await serve(dashboard)}/#/tasks")
        await expect(page.get_by_text("1 task matches")).to_be_visible()
        await expect(page.get_by_text("you are viewer")).to_be_visible()
        await expect(page.get_by_role("combobox", name="All that match")).to_have_count(0)


async def test_a_page_that_a_reader_may_not_see_names_the_right_that_is_missing(
    redis_url: str, serve: Serve, visitor: Visitor
) -> None:
    async with Dashboard(redis_url, authorize=viewer) as dashboard:
        page = await visitor.open("about:blank")
        problem = {"title": "Forbidden", "status": 403, "code": "forbidden", "action": "audit.read"}
        await page.route("**/api/v1/audit*", lambda route: route.fulfill(status=403, json=problem))
        await page.goto(f"{await serve(dashboard)}/#/audit")
        await expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
        await expect(page.get_by_text("audit.read")).to_be_visible()


async def test_a_stranger_sees_nothing(redis_url: str, serve: Serve, visitor: Visitor) -> None:
    async with Dashboard(redis_url, authorize=nobody) as dashboard:
        page = await visitor.open(f"{await serve(dashboard)}/")
        await expect(page.get_by_text("log in first")).to_be_visible()
        await expect(page.get_by_role("navigation")).to_have_count(0)


async def test_a_reader_whose_session_has_expired_is_asked_to_load_the_page_again(
    redis_url: str, serve: Serve, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    known = {"vera"}

    def authorize(_request: Request) -> Principal | None:
        return Principal(name="vera", role=Role.ADMIN) if known else None

    async with Dashboard(redis_url, authorize=authorize) as dashboard:
        page = await visitor.open(f"{await serve(dashboard)}/")
        await expect(page.get_by_role("table", name="Queues")).to_contain_text("default")
        known.clear()
        dashboard.end_streams()
        banner = page.get_by_role("status").filter(has_text="You are no longer logged in")
        await expect(banner).to_be_visible()
        known.add("vera")
        await banner.get_by_role("button", name="Reload").click()
        await expect(page.get_by_role("table", name="Queues")).to_contain_text("default")
        await expect(banner).to_have_count(0)
