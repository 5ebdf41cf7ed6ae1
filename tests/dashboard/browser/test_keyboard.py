"""Everything can be done without a mouse."""

from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

import pyasynq
from pyasynq import TaskState
from tests.dashboard.browser.shop import Shop
from tests.support.chromium import Visitor


@pytest.fixture
async def tasks(client: pyasynq.Client, inspector: pyasynq.Inspector) -> list[str]:
    """Ids of three archived tasks: apple, pear and plum."""
    infos = [await client.enqueue(pyasynq.Task(name)) for name in ("apple", "pear", "plum")]
    for info in infos:
        await inspector.archive_task(info.queue, info.id)
    return [info.id for info in infos]


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


@pytest.mark.parametrize(
    ("key", "heading"),
    [("y", "Types"), ("t", "Tasks"), ("w", "Workers"), ("s", "Schedules"), ("r", "Redis")],
)
async def test_two_keys_open_a_page(site: str, visitor: Visitor, key: str, heading: str) -> None:
    page = await visitor.open(site)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await press(page, "g", key)
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)


async def test_a_search_is_typed_with_suggestions(
    site: str, visitor: Visitor, tasks: list[str]
) -> None:
    page = await visitor.open(site)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await press(page, "/")
    await page.keyboard.type("state:arch")  # at once: none of these letters may be lost
    line = page.get_by_role("combobox", name="Search line")
    await expect(line).to_have_value("state:arch")
    options = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    await expect(options).to_have_count(1)  # no longer those of `state:`
    await expect(options.get_by_text("archived", exact=True)).to_be_visible()  # nor those of `st`
    await press(page, "ArrowDown", "Enter")
    await expect(page.get_by_text("3 tasks match")).to_be_visible()
    await expect(line).to_have_value("state:archived")


async def test_tasks_are_chosen_and_run_by_keys(
    site: str, visitor: Visitor, tasks: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/tasks?sort=type")
    await expect(page.get_by_text("3 tasks match")).to_be_visible()
    await press(page, "j", "x", "j", "j", "X")
    await expect(page.get_by_label("Selection")).to_contain_text("3 selected")
    await press(page, "Escape")
    await expect(page.get_by_label("Selection")).to_have_count(0)
    await press(page, "k", "x", "r")
    await expect(
        page.get_by_role("status").filter(has_text="1 task is pending now")
    ).to_be_visible()
    assert (await inspector.task_info("default", tasks[1])).state is TaskState.PENDING


async def test_a_task_is_opened_and_its_neighbours_are_visited_by_keys(
    site: str, visitor: Visitor, tasks: list[str]
) -> None:
    page = await visitor.open(f"{site}#/tasks?sort=type")
    await expect(page.get_by_text("3 tasks match")).to_be_visible()
    await press(page, "j", "j", "Enter")
    head = page.locator("main h2").first
    await expect(head).to_have_text("pear")
    await press(page, "]")
    await expect(head).not_to_have_text("pear")
    await press(page, "[")
    await expect(head).to_have_text("pear")


async def test_a_question_is_answered_by_keys(
    site: str, visitor: Visitor, tasks: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/task/default/{tasks[0]}")
    await expect(page.locator(".pill")).to_have_text("archived")
    await press(page, "d")
    await expect(page.get_by_role("dialog", name="Delete 1 task?")).to_be_visible()
    await press(page, "Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await press(page, "d", "Tab", "Enter")  # at once: the question is there for the next key
    await expect(page.get_by_role("heading", level=1)).to_have_text("Tasks")
    assert (await inspector.queue_info("default")).archived == 2


async def test_what_is_typed_after_a_key_arrives_in_the_question(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    info = await client.enqueue(pyasynq.Task("a"), process_in=timedelta(minutes=1))
    page = await visitor.open(f"{site}#/task/default/{info.id}")
    await expect(page.locator(".pill")).to_have_text("scheduled")
    await press(page, "t", "Control+a")
    await page.keyboard.type("2d")
    await press(page, "Enter")
    await expect(page.get_by_label("Why it waits")).to_contain_text("1d 23h")


async def test_a_queue_is_found_by_name_and_paused(
    site: str, visitor: Visitor, client: pyasynq.Client, inspector: pyasynq.Inspector
) -> None:
    for queue in ("critical", "low"):
        await client.enqueue(pyasynq.Task("a"), queue=queue)
    page = await visitor.open(site)
    await expect(page.get_by_role("table", name="Queues")).to_contain_text("critical")
    await press(page, "g", "w")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Workers")
    await press(page, "g", "q")
    await page.keyboard.type("low")
    await press(page, "Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("low")
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await press(page, "p")
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert (await inspector.queue_info("low")).paused


async def test_a_menu_is_walked_through_by_arrows(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open(site)
    await page.get_by_role("button", name="Actions for default").focus()
    await press(page, "Enter")
    await expect(page.get_by_role("menuitem", name="Pause")).to_be_focused()
    await press(page, "ArrowUp")
    await expect(page.get_by_role("menuitem", name="Delete queue")).to_be_focused()
    await press(page, "Escape", "Enter", "ArrowUp")  # at once: the menu opens meanwhile
    await expect(page.get_by_role("menuitem", name="Delete queue")).to_be_focused()
    await press(page, "Escape")
    await expect(page.get_by_role("button", name="Actions for default")).to_be_focused()


async def test_a_table_is_sorted_by_a_key_and_the_sort_is_in_the_address(
    site: str, visitor: Visitor, tasks: list[str]
) -> None:
    page = await visitor.open(f"{site}#/tasks")
    await expect(page.get_by_text("3 tasks match")).to_be_visible()
    await press(page, "s", "s")
    await expect(page.get_by_role("columnheader", name="Type")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert "sort=type" in page.url


async def test_the_list_of_keys_is_shown_and_single_keys_can_be_switched_off(
    site: str, visitor: Visitor
) -> None:
    page = await visitor.open(site)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await press(page, "?")
    sheet = page.get_by_role("dialog", name="Keys")
    await expect(sheet).to_contain_text("a queue by name")
    await sheet.get_by_role("checkbox", name="Single keys act").uncheck()
    await press(page, "Escape")
    await expect(sheet).to_have_count(0)
    await press(page, "g", "t", "?")  # the last of them acts always: the others have been handled
    await expect(sheet).to_be_visible()
    await press(page, "Escape")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


async def test_the_first_tab_skips_to_the_content(site: str, visitor: Visitor) -> None:
    page = await visitor.open(site)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await press(page, "Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await press(page, "Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_an_entry_is_paused_and_run_by_keys(
    site: str, visitor: Visitor, redis_url: str, client: pyasynq.Client
) -> None:
    async with Shop(redis_url, client).running():
        page = await visitor.open(f"{site}#/schedules")
        entry = page.get_by_role("table", name="Schedules").get_by_role("row").last
        await expect(entry).to_contain_text("never")
        await press(page, "j", "p")
        await expect(entry).to_contain_text("paused")
        await press(page, "p")
        await expect(entry).not_to_contain_text("paused")
        await press(page, "r")
        await expect(entry).not_to_contain_text("never")
