"""Text that producers wrote is text wherever it is shown, and never a part of the page."""

from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

import pyasynq
from tests.support.chromium import Visitor

SCRIPT = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
STRANGE = f"{SCRIPT}\u202egnp.exe"
CLEAN = f"{SCRIPT}U+202Egnp.exe"


async def is_harmless(page: Page) -> None:
    """Check that no text became a part of *page*."""
    assert await page.evaluate("window.hit") is None
    assert await page.locator("main img, main script").count() == 0


@pytest.fixture
async def task(client: pyasynq.Client) -> pyasynq.TaskInfo:
    """A task with such text in all its fields."""
    payload = f'{{"{STRANGE}": "{STRANGE}"}}'.encode()
    return await client.enqueue(
        pyasynq.Task(STRANGE, payload, headers={"x": STRANGE}),
        queue=f"queue {SCRIPT}",
        task_id=f"id {SCRIPT}",
        process_in=timedelta(hours=1),
    )


@pytest.fixture
async def archived(task: pyasynq.TaskInfo, inspector: pyasynq.Inspector) -> pyasynq.TaskInfo:
    """The task, archived."""
    await inspector.archive_task(task.queue, task.id)
    return task


async def test_the_overview_and_the_page_of_a_queue_show_text(
    site: str, visitor: Visitor, task: pyasynq.TaskInfo
) -> None:
    page = await visitor.open(site)
    await page.get_by_role("table", name="Queues").get_by_role("link", name=task.queue).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(task.queue)
    await expect(page.get_by_label("Facts")).to_be_visible()
    await is_harmless(page)


async def test_the_list_of_tasks_and_the_page_of_one_show_text(
    site: str, visitor: Visitor, archived: pyasynq.TaskInfo
) -> None:
    page = await visitor.open(f"{site}#/tasks")
    row = page.get_by_role("table", name="Tasks").get_by_role("row").last
    await expect(row).to_contain_text(CLEAN)
    await row.get_by_role("link").click()
    await expect(page.locator("main h2").first).to_have_text(CLEAN)
    await expect(page.get_by_role("region", name="Payload")).to_contain_text(CLEAN)
    await expect(page.get_by_label("Facts")).to_contain_text(f"x: {CLEAN}")
    await is_harmless(page)


async def test_a_link_finds_names_of_any_characters(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    name = 'a "b", *c\\d:e'
    info = await client.enqueue(pyasynq.Task(name), queue=name)
    await client.enqueue(pyasynq.Task("other"), queue="other")
    page = await visitor.open(f"{site}#/")
    await page.get_by_role("table", name="Queues").get_by_role("link", name=name).click()
    await page.get_by_role("link", name="pending").click()
    await expect(page.get_by_text("1 task matches")).to_be_visible()
    await page.get_by_role("table", name="Tasks").get_by_role("link", name=name).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(info.id)


async def test_a_wrong_search_line_is_shown_as_text(site: str, visitor: Visitor) -> None:
    page = await visitor.open(f"{site}#/tasks")
    await page.get_by_role("combobox", name="Search line").fill(f'state:"{SCRIPT}"')
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("<img")
    await is_harmless(page)
