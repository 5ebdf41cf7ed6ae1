"""Every action that a page offers does what it says."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import Locator, Page, expect

import pyasynq
from pyasynq import TaskState
from pyasynq.broker import Broker, open_broker
from pyasynq.core.options import Options
from tests.dashboard.browser.shop import Shop
from tests.support.chromium import Visitor
from tests.support.factories import a_server, an_entry


@pytest.fixture
async def archived(client: pyasynq.Client, inspector: pyasynq.Inspector) -> list[str]:
    """Ids of three archived tasks: apple, pear and plum."""
    infos = [
        await client.enqueue(pyasynq.Task(name, b'{"n": 1}')) for name in ("apple", "pear", "plum")
    ]
    for info in infos:
        await inspector.archive_task(info.queue, info.id)
    return [info.id for info in infos]


async def states(inspector: pyasynq.Inspector) -> dict[str, int]:
    info = await inspector.queue_info("default")
    return {state: count for state in TaskState if (count := getattr(info, state))}


def row(page: Page, table: str, text: str) -> Locator:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)


async def said(page: Page, text: str) -> None:
    """Return when the page has said *text*."""
    await expect(page.get_by_role("status").filter(has_text=text).last).to_be_visible()


# -- queues ----------------------------------------------------------------------------------------


async def test_a_queue_is_paused_and_resumed_from_its_menu(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(site)
    await row(page, "Queues", "default").get_by_role("button", name="Actions").click()
    await page.get_by_role("menuitem", name="Pause").click()
    await expect(row(page, "Queues", "default")).to_contain_text("paused")
    assert (await inspector.queue_info("default")).paused
    await row(page, "Queues", "default").get_by_role("button", name="Actions").click()
    await page.get_by_role("menuitem", name="Resume").click()
    await expect(row(page, "Queues", "default")).not_to_contain_text("paused")
    assert not (await inspector.queue_info("default")).paused


async def test_a_queue_is_deleted_after_its_name_was_typed(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/queue/default")
    await page.get_by_role("button", name="Delete queue").click()
    await page.get_by_role("textbox").fill("default")
    await page.get_by_role("button", name="Delete the queue and 3 tasks").click()
    await expect(page.get_by_role("heading", name="No queue has had a task")).to_be_visible()
    assert await inspector.queues() == []


async def test_a_queue_stays_if_another_name_was_typed(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/queue/default")
    await page.get_by_role("button", name="Delete queue").click()
    await page.get_by_role("textbox").fill("other")
    await page.get_by_role("button", name="Delete the queue and 3 tasks").click()
    await said(page, "nothing was deleted")
    assert await inspector.queues() == ["default"]


async def test_all_archived_tasks_of_a_queue_run_again(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/queue/default")
    await page.get_by_role("button", name="Run 3 archived").click()
    await page.get_by_role("button", name="Run 3 now").click()
    await said(page, "3 tasks are pending now")
    assert await states(inspector) == {"pending": 3}


async def test_a_question_is_gone_once_its_page_is_left(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/")
    await expect(row(page, "Queues", "default")).to_be_visible()
    await page.goto(f"{site}#/task/default/{archived[0]}")
    await page.get_by_role("button", name=re.compile("^Delete…")).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.go_back()
    await expect(row(page, "Queues", "default")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.go_forward()
    await expect(page.get_by_role("button", name="Run now")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await states(inspector) == {"archived": 3}


# -- one task --------------------------------------------------------------------------------------


async def test_a_task_is_run(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/task/default/{archived[0]}")
    await page.get_by_role("button", name="Run now").click()
    await expect(page.locator(".pill")).to_have_text("pending")
    assert (await inspector.task_info("default", archived[0])).state is TaskState.PENDING


async def test_a_task_is_archived(
    site: str, visitor: Visitor, client: pyasynq.Client, inspector: pyasynq.Inspector
) -> None:
    info = await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open(f"{site}#/task/default/{info.id}")
    await page.get_by_role("button", name="Archive").click()
    await expect(page.locator(".pill")).to_have_text("archived")
    assert await states(inspector) == {"archived": 1}


async def test_a_task_is_deleted_after_a_question(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/task/default/{archived[0]}")
    await page.get_by_role("button", name=re.compile("^Delete…")).click()
    await page.get_by_role("dialog").get_by_role("button", name="Back").click()
    assert await states(inspector) == {"archived": 3}
    await page.get_by_role("button", name=re.compile("^Delete…")).click()
    await page.get_by_role("button", name="Delete 1").click()
    await expect(page.get_by_role("heading", name="Tasks", level=1)).to_be_visible()
    assert await states(inspector) == {"archived": 2}


async def test_a_task_is_rescheduled(
    site: str, visitor: Visitor, client: pyasynq.Client, inspector: pyasynq.Inspector
) -> None:
    info = await client.enqueue(pyasynq.Task("a"), process_in=timedelta(minutes=1))
    page = await visitor.open(f"{site}#/task/default/{info.id}")
    await page.get_by_role("button", name="Reschedule").click()
    await page.get_by_role("textbox", name="Time from now").fill("2d")
    await page.get_by_role("dialog").get_by_role("button", name="Reschedule").click()
    await expect(page.get_by_label("Why it waits")).to_contain_text("1d 23h")
    changed = await inspector.task_info("default", info.id)
    assert info.next_process_at
    assert changed.next_process_at
    assert changed.next_process_at > info.next_process_at


async def test_the_payload_of_a_task_is_edited(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/task/default/{archived[0]}")
    await page.get_by_role("button", name="Edit payload").click()
    await page.get_by_role("textbox", name="Payload").fill('{"n": 2}')
    await page.get_by_role("button", name="Save").click()
    await said(page, "The payload is changed")
    assert (await inspector.task_info("default", archived[0])).payload == b'{"n": 2}'


async def test_a_task_is_duplicated_and_the_copy_is_shown(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/task/default/{archived[0]}")
    await page.get_by_role("button", name="Duplicate").click()
    await expect(page.locator(".pill")).to_have_text("pending")
    assert archived[0] not in page.url
    assert await states(inspector) == {"pending": 1, "archived": 3}


async def test_a_task_is_copied_as_a_command(
    site: str, visitor: Visitor, archived: list[str]
) -> None:
    page = await visitor.open(f"{site}#/task/default/{archived[0]}")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy as CLI").click()
    await said(page, "Copied")
    assert (await page.evaluate("navigator.clipboard.readText()")).startswith("pyasynq ")


# -- several tasks ---------------------------------------------------------------------------------


async def test_selected_tasks_are_run(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/tasks")
    await page.get_by_role("checkbox", name="Select apple").check()
    await page.get_by_role("checkbox", name="Select pear").check()
    await page.get_by_label("Selection").get_by_role("button", name="Run now").click()
    await page.get_by_role("button", name="Run 2 now").click()
    await said(page, "2 tasks are pending now")
    assert await states(inspector) == {"pending": 2, "archived": 1}


async def test_all_shown_tasks_are_selected_and_deleted(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/tasks")
    await page.get_by_role("checkbox", name="Select all shown").check()
    await page.get_by_label("Selection").get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete 3").click()
    await expect(page.get_by_role("heading", name="There is no task")).to_be_visible()
    assert await states(inspector) == {}


async def test_a_refusal_is_said(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/tasks")
    await page.get_by_role("checkbox", name="Select apple").check()
    await page.get_by_label("Selection").get_by_role("button", name="Reschedule").click()
    await page.get_by_role("dialog").get_by_role("button", name="Reschedule").click()
    await said(page, "1 refused")
    assert await states(inspector) == {"archived": 3}


async def test_all_that_match_are_counted_first_and_then_deleted(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/tasks?q=type%3Aapple%2Cpear")
    await page.get_by_role("combobox", name="All that match").select_option("delete")
    dialog = page.get_by_role("dialog", name="Delete 2 tasks?")
    await expect(dialog).to_contain_text("default 2")
    assert await states(inspector) == {"archived": 3}
    await dialog.get_by_role("button", name="Delete 2").click()
    await said(page, "Deleted 2 tasks")
    assert await states(inspector) == {"archived": 1}


async def test_what_does_not_match_any_more_is_not_asked_about(
    site: str, visitor: Visitor, archived: list[str], inspector: pyasynq.Inspector
) -> None:
    page = await visitor.open(f"{site}#/tasks?q=type%3Aapple")
    choice = page.get_by_role("combobox", name="All that match")
    await expect(choice).to_be_visible()
    # The list stays as it is, although the page asks for it again every few seconds.
    await page.route("**/api/v1/tasks?*", lambda route: route.fulfill(status=503))
    await inspector.delete_task("default", archived[0])
    await choice.select_option("delete")
    await said(page, "Nothing to do")


async def test_a_group_is_run(
    site: str, visitor: Visitor, client: pyasynq.Client, inspector: pyasynq.Inspector
) -> None:
    await client.enqueue(pyasynq.Task("a"), group="eve")
    page = await visitor.open(f"{site}#/groups")
    await page.get_by_role("button", name="Actions for eve").click()
    await page.get_by_role("menuitem", name="Run now").click()
    await page.get_by_role("button", name="Run 1 now").click()
    await said(page, "1 task is pending now")
    assert await states(inspector) == {"pending": 1}


# -- workers and schedules -------------------------------------------------------------------------


@pytest.fixture
async def shop(redis_url: str, client: pyasynq.Client) -> AsyncIterator[Shop]:
    """A worker that runs a task, and a scheduler."""
    async with Shop(redis_url, client).running() as shop:
        yield shop


async def choose(page: Page, label: str, item: str) -> None:
    """Choose *item* of the menu that is called *label*."""
    await page.get_by_role("button", name=re.compile(f"Actions for {label}")).click()
    await page.get_by_role("menuitem", name=item).click()


async def test_a_worker_is_made_quiet_and_resumed(site: str, visitor: Visitor, shop: Shop) -> None:
    page = await visitor.open(f"{site}#/workers")
    worker = page.get_by_role("table", name="Workers").get_by_role("row").last
    await choose(page, r".*:\d+$", "Quiet")
    await page.get_by_role("dialog").get_by_role("button", name="Quiet").click()
    await expect(worker).to_contain_text("takes no tasks")
    await expect(worker).to_contain_text("wanted: take none")
    await page.goto(f"{site}#/")
    await expect(page.get_by_label("Figures")).to_contain_text("1 process, 1 quiet")
    await page.goto(f"{site}#/workers")
    await choose(page, r".*:\d+$", "Resume")
    await expect(worker).to_contain_text("works")


async def test_slots_of_a_worker_are_changed_and_reset(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/workers")
    workers = page.get_by_role("table", name="Workers")
    await choose(page, r".*:\d+$", "Change")
    await page.get_by_role("spinbutton", name="Slots").fill("7")
    await page.get_by_role("textbox", name="Queues").fill("default=2, low")
    await page.get_by_role("button", name="Save").click()
    await expect(workers).to_contain_text("1 / 7")
    await expect(workers).to_contain_text("default 2, low 1")
    await choose(page, r".*:\d+$", "Use own options")
    await expect(workers).to_contain_text("1 / 5")


async def test_a_wrong_weight_of_a_queue_is_said(site: str, visitor: Visitor, shop: Shop) -> None:
    page = await visitor.open(f"{site}#/workers")
    await choose(page, "all workers", "Change")
    await page.get_by_role("textbox", name="Queues").fill("default=0")
    await page.get_by_role("button", name="Save").click()
    await said(page, "queues")


async def test_all_workers_are_stopped_after_a_question(
    site: str, visitor: Visitor, broker: Broker, inspector: pyasynq.Inspector
) -> None:
    await broker.registry.write_server(a_server("s"), ttl_s=3600)  # of Go, by its look
    page = await visitor.open(f"{site}#/workers")
    await choose(page, "all workers", "Stop")
    await (
        page.get_by_role("dialog", name="Stop all workers?")
        .get_by_role("button", name="Back")
        .click()
    )
    assert await inspector.controls() == []
    await choose(page, "all workers", "Stop")
    await page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    await said(page, "0 processes follow")
    [control] = await inspector.controls()
    assert (control.target, control.state) == ("*", "stop")


async def test_an_entry_is_paused_resumed_and_run(site: str, visitor: Visitor, shop: Shop) -> None:
    page = await visitor.open(f"{site}#/schedules")
    entry = row(page, "Schedules", "shop:tick")
    await choose(page, "shop:tick", "Pause")
    await expect(entry).to_contain_text("paused")
    await choose(page, "shop:tick", "Resume")
    await expect(entry).not_to_contain_text("paused")
    await choose(page, "shop:tick", "Run now")
    await said(page, "1 task is pending now")
    await expect(entry).not_to_contain_text("never")


async def test_an_entry_of_go_is_run_in_a_queue_that_is_asked_for(
    site: str, visitor: Visitor, redis_url: str, inspector: pyasynq.Inspector
) -> None:
    broker = open_broker(redis_url)
    await broker.schedules.write_entries("go", [an_entry("e", options=Options())], ttl_s=600)
    await broker.aclose()
    page = await visitor.open(f"{site}#/schedules")
    await choose(page, "t", "Run now")
    await page.get_by_role("textbox", name="Queue").fill("low")
    await page.get_by_role("dialog").get_by_role("button", name="Run now").click()
    await said(page, "1 task is pending now")
    assert (await inspector.queue_info("low")).pending == 1
