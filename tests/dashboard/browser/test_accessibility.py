"""Everybody can use the pages: in light and dark, small and large, by screen reader."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.async_api import Page, expect

import pyasynq
from tests.dashboard.browser.shop import Shop
from tests.support.chromium import Options, Visitor

PAGES = {
    "overview": "Overview",
    "types": "Types",
    "tasks": "Tasks",
    "groups": "Groups",
    "workers": "Workers",
    "schedules": "Schedules",
    "broker": "Redis",
    "audit": "Audit",
    "flows": "Flows",
    "queue/default": "default",
    "flow/low/7": "7",
}
LARGE: Options = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
SMALL: Options = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

sizes = pytest.mark.parametrize("options", [LARGE, SMALL], ids=["large-light", "small-dark"])


async def complaints(page: Page) -> list[str]:
    """Return the violations that axe finds in *page*."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    results = await Axe().run(page, options=options)
    return [str(line) for line in results.generate_snapshot().splitlines()]


@pytest.fixture
async def shop(redis_url: str, client: pyasynq.Client) -> AsyncIterator[Shop]:
    """A worker, a scheduler and tasks in all states."""
    async with Shop(redis_url, client).running() as shop:
        await client.enqueue(pyasynq.Task("grouped", b"{}"), group="eve", queue="low")
        flow = pyasynq.Flow("import", queue="low", id="7")
        flow.add(pyasynq.Task("publish", queue="low"), after=flow.gate("approval"))
        flow.add(pyasynq.Task("check", queue="low"))
        await client.enqueue_flow(flow)
        yield shop


async def settled(page: Page, heading: str) -> None:
    """Return when *page* shows what it was opened for."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await expect(page.locator("main :is(.tbl, .empty, .head)").first).to_be_visible()


@sizes
async def test_a_checker_of_accessibility_finds_nothing_wrong(
    site: str, visitor: Visitor, shop: Shop, options: Options
) -> None:
    page = await visitor.open(site, **options)
    found: list[str] = []
    pages = PAGES | {f"task/default/{shop.failed_id}": shop.failed_id}
    for path, heading in pages.items():
        await page.goto(f"{site}#/{path}")
        await settled(page, heading)
        lines = [*await complaints(page), *await too_wide(page)]
        found += [f"{path}: {line}" for line in lines]
    assert found == []


async def too_wide(page: Page) -> list[str]:
    wider: int = await page.evaluate(OVERFLOW)
    return [f"{wider} px wider than its window"] if wider else []
