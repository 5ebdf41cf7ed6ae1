"""Every page shows what there is."""

import re
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

import pyasynq
from pyasynq.broker import Broker
from pyasynq.core.info import ProcessInfo, SchedulerEvent
from pyasynq.core.message import instant
from pyasynq.core.options import Options
from pyasynq.dashboard import Dashboard
from pyasynq.scheduler.entry import tick_task_id
from tests.cli.processes import command
from tests.dashboard.browser.conftest import Serve
from tests.dashboard.browser.shop import Shop
from tests.support.chromium import Visitor
from tests.support.clusters import queue_of_cluster
from tests.support.factories import a_server, an_entry
from tests.support.servers import RedisCluster
from tests.support.waiting import wait_until

__all__ = ["queue_of_cluster"]


@pytest.fixture
async def shop(redis_url: str, client: pyasynq.Client) -> AsyncIterator[Shop]:
    """A worker, a scheduler and tasks in all states."""
    async with Shop(redis_url, client).running() as shop:
        yield shop


async def test_an_empty_system_says_how_to_send_the_first_task(
    site: str, visitor: Visitor, redis_url: str
) -> None:
    page = await visitor.open(site)
    await expect(page.get_by_role("heading", name="No queue has had a task")).to_be_visible()
    _, *words = shlex.split(await page.get_by_label("Command").inner_text())
    async with command(*words, "-u", redis_url) as process:
        assert await process.wait_for_end() == 0, process.lines
    await expect(page.get_by_role("table", name="Queues")).to_contain_text("default")


async def test_the_overview_shows_queues_figures_and_what_is_wrong(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a", b"{}"), queue="mails")
    page = await visitor.open(site)
    row = page.get_by_role("table", name="Queues").get_by_role("row").filter(has_text="mails")
    await expect(row.get_by_title("1 pending")).to_be_visible()
    await expect(row).to_contain_text("no worker")
    await expect(page.get_by_label("Alerts")).to_contain_text(
        "mails: 1 task waits and no worker serves the queue"
    )
    await expect(page.get_by_label("Figures")).to_contain_text("Waiting1")


async def test_the_overview_says_that_a_scheduler_has_crashed(
    site: str, visitor: Visitor, client: pyasynq.Client, broker: Broker
) -> None:
    await client.enqueue(pyasynq.Task("a", b"{}"), queue="mails")
    await broker.schedules.write_entries("h:1:s", [an_entry()], ttl_s=1)

    async def is_over() -> bool:
        return await broker.schedules.entries() == []

    await wait_until(is_over)
    page = await visitor.open(site)
    await expect(page.get_by_label("Alerts")).to_contain_text("no running one enqueues t")


async def test_the_overview_groups_failures_and_leads_to_them(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(site)
    failing = page.get_by_role("table", name="Failing")
    await failing.get_by_role("link", name="ShopError: closed").click()
    await expect(page.get_by_role("table", name="Tasks")).to_contain_text("ShopError: closed")


async def test_a_queue_shows_its_states_days_and_facts(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/queue/default")
    await expect(page.get_by_label("Last days").get_by_role("row")).to_have_count(11)
    await expect(page.get_by_label("Facts")).to_contain_text("Memory")
    await page.get_by_role("link", name="retry").click()
    await expect(page.get_by_role("combobox", name="Search line")).to_have_value(
        "queue:default state:retry"
    )


async def test_types_show_percentiles_and_a_chart_of_one(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/types")
    types = page.get_by_role("table", name="Types")
    await expect(types.get_by_role("row").filter(has_text="shop:fail")).to_contain_text("100 %")
    await types.get_by_role("button", name="shop:done").click()
    await expect(page.get_by_role("group", name="Run time, 60 points over time")).to_be_visible()
    assert "type=shop%3Adone" in page.url
    histogram = page.get_by_role("figure").filter(has_text="Runs by run time")
    await expect(histogram.locator("path.bar").first).to_be_visible()
    await histogram.get_by_role("group").press("ArrowLeft")
    await expect(histogram).to_contain_text("Runs 0")


async def test_types_show_retries_waits_and_what_is_archived_now(
    site: str, visitor: Visitor, shop: Shop, inspector: pyasynq.Inspector
) -> None:
    await inspector.archive_task("default", shop.failed_id)
    page = await visitor.open(f"{site}#/types")
    types = page.get_by_role("table", name="Types")
    row = types.get_by_role("row").filter(has_text="shop:fail")
    await expect(row).to_be_visible()
    heads = await types.get_by_role("columnheader").all_inner_texts()
    cells = row.get_by_role("cell")
    await expect(cells.nth(heads.index("Retried"))).to_have_text("1")
    await expect(cells.nth(heads.index("Archived"))).to_have_text("0")
    await expect(cells.nth(heads.index("Archived now"))).to_have_text("1")
    assert {"Wait p50", "Wait p95", "Wait p99"} < set(heads)


async def test_a_search_finds_tasks_and_its_address_finds_them_again(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/tasks")
    await page.get_by_role("combobox", name="Search line").fill("type:shop:f* state:retry")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("1 task matches")).to_be_visible()
    again = await visitor.open(page.url)
    tasks = again.get_by_role("table", name="Tasks")
    await expect(tasks.get_by_role("row").filter(has_text="shop:fail")).to_have_count(1)


async def test_a_wrong_search_line_says_what_would_be_right(site: str, visitor: Visitor) -> None:
    page = await visitor.open(f"{site}#/tasks?q=stat%3Aretry")
    await expect(page.get_by_role("alert")).to_contain_text("state")
    await expect(page.get_by_role("combobox", name="Search line")).to_have_attribute(
        "aria-invalid", "true"
    )


async def test_a_search_without_results_says_how_many_tasks_were_looked_at(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open(f"{site}#/tasks?q=type%3Anothing")
    await expect(page.get_by_role("heading", name="No task matches")).to_be_visible()


async def test_a_failed_task_shows_its_tries_with_tracebacks_payload_and_time_line(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/task/default/{shop.failed_id}")
    await expect(page.get_by_label("Traceback")).to_contain_text("raise ShopError")
    await expect(page.get_by_label("Payload", exact=True)).to_contain_text("order: 7")
    await expect(page.get_by_label("Time line").first).to_contain_text("try 1: ShopError: closed")
    await expect(page.get_by_label("Why it waits")).to_contain_text("next try")
    await page.get_by_role("button", name="Hex").click()
    await expect(page.get_by_role("region", name="Payload")).to_contain_text("7b 22 6f")


async def test_a_task_behind_very_many_others_says_so(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    infos = [await client.enqueue(pyasynq.Task("a")) for _ in range(251)]
    why = {}
    for name, info in (("first", infos[0]), ("last", infos[-1])):
        page = await visitor.open(f"{site}#/task/default/{info.id}")
        why[name] = page.get_by_label("Why it waits")
    await expect(why["first"]).to_contain_text("It is the next to run.")
    await expect(why["last"]).to_contain_text("250 or more tasks run before it")


async def test_a_completed_task_shows_its_result(site: str, visitor: Visitor, shop: Shop) -> None:
    page = await visitor.open(f"{site}#/task/default/{shop.done_id}")
    await expect(page.get_by_label("Result", exact=True)).to_contain_text("thanks")


async def test_a_task_that_is_gone_says_so(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"))
    page = await visitor.open(f"{site}#/task/default/unknown")
    await expect(page.get_by_role("heading", name="not there any more")).to_be_visible()


async def test_a_running_task_shows_where_it_runs(site: str, visitor: Visitor, shop: Shop) -> None:
    page = await visitor.open(f"{site}#/task/default/{shop.running_id}")
    await expect(page.get_by_label("Now")).to_contain_text("It runs")


async def test_workers_show_processes_slots_and_running_tasks(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/workers")
    await expect(page.get_by_text("1 process on 1 host")).to_be_visible()
    await expect(page.get_by_role("table", name="Workers")).to_contain_text("1 / 5")
    await expect(page.get_by_role("table", name="Running now")).to_contain_text("shop:run")


async def test_workers_show_what_they_have_measured(
    site: str, visitor: Visitor, broker: Broker
) -> None:
    measured = ProcessInfo(tasks_per_s=7.5, loop_lag=timedelta(seconds=0.25), memory=48_000_000)
    await broker.registry.write_server(a_server("a", process=measured), ttl_s=600)
    await broker.registry.write_server(a_server("go", host="z"), ttl_s=600)
    page = await visitor.open(f"{site}#/workers")
    rows = page.get_by_role("table", name="Workers").get_by_role("row")
    values = [rows.nth(1).locator(f'td[data-l="{it}"]') for it in ("Tasks/s", "Loop lag", "Memory")]
    await expect(values[0]).to_have_text("7.5")
    await expect(values[1]).to_have_text("250 ms")
    await expect(values[2]).to_have_text("48.0 MB")
    await expect(rows.nth(2).locator('td[data-l="Tasks/s"]')).to_have_text("–")


async def test_schedules_show_entries_in_words(site: str, visitor: Visitor, shop: Shop) -> None:
    page = await visitor.open(f"{site}#/schedules")
    row = (
        page.get_by_role("table", name="Schedules").get_by_role("row").filter(has_text="shop:tick")
    )
    await expect(row).to_contain_text("weekdays at 09:30")
    await expect(row).to_contain_text("30 9 * * 1-5")


async def test_schedules_show_what_happened_to_the_last_runs(
    site: str, visitor: Visitor, shop: Shop, broker: Broker
) -> None:
    await broker.schedules.write_entries("a", [an_entry(options=Options())], ttl_s=600)
    for at_s, task_id in enumerate([shop.done_id, shop.failed_id, shop.running_id, "deleted"], 1):
        event = SchedulerEvent(task_id=task_id, enqueued_at=instant(at_s))
        await broker.schedules.record([("e", event)])
    page = await visitor.open(f"{site}#/schedules")
    entries = page.get_by_role("table", name="Schedules").get_by_role("row")
    dots = entries.filter(has_text="@every 1m").locator(".dots > *")
    starts = ("succeeded, Jan 1", "failed, Jan 1", "running, Jan 1", "not kept, Jan 1")
    await expect(dots).to_have_text([re.compile(f"^{start}") for start in starts])
    await dots.nth(1).click()
    await expect(page.get_by_label("Traceback")).to_contain_text("raise ShopError")


async def test_schedules_say_at_which_ticks_nothing_was_enqueued(
    site: str, visitor: Visitor, broker: Broker
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    entry = an_entry(prev=now - timedelta(minutes=3))
    await broker.schedules.write_entries("a", [entry], ttl_s=600)
    for at in (now - timedelta(minutes=5), now - timedelta(minutes=3)):
        event = SchedulerEvent(task_id=tick_task_id("e", at), enqueued_at=at)
        await broker.schedules.record([("e", event)])
    page = await visitor.open(f"{site}#/schedules")
    row = page.get_by_role("table", name="Schedules").get_by_role("row").last
    await expect(row.get_by_text("ticks without a task")).to_be_visible()


async def test_groups_show_how_many_tasks_wait(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"), group="eve")
    page = await visitor.open(f"{site}#/groups")
    await expect(page.get_by_role("table", name="Groups").get_by_role("row").last).to_contain_text(
        "eve"
    )


async def test_the_page_of_redis_shows_checks_and_values(site: str, visitor: Visitor) -> None:
    page = await visitor.open(f"{site}#/broker")
    await expect(page.get_by_role("heading", name="Redis", exact=True)).to_be_visible()
    await expect(page.get_by_role("table", name="Checks")).to_contain_text("persistence")
    await expect(page.get_by_text("noeviction")).to_be_visible()
    await expect(page.get_by_role("region", name="Slow commands")).to_contain_text(
        "from 10 ms on, the newest 50"
    )


async def test_slow_commands_are_listed(
    site: str, visitor: Visitor, r: Redis, client: pyasynq.Client
) -> None:
    await r.slowlog_reset()  # other tests on this machine may have been slow
    await r.config_set("slowlog-log-slower-than", 0)
    await client.enqueue(pyasynq.Task("a"), queue="mails")
    await r.config_set("slowlog-log-slower-than", 10_000)
    page = await visitor.open(f"{site}#/broker")
    slow = page.get_by_role("table", name="Slow commands").get_by_role("row")
    ours = slow.filter(has_text="create/create").filter(has_text="asynq:{mails}:")
    await expect(ours).to_have_count(1)


async def test_the_page_of_a_cluster_shows_where_its_queues_are(
    redis_cluster: RedisCluster, queue_of_cluster: str, serve: Serve, visitor: Visitor
) -> None:
    async with Dashboard(redis_cluster.url) as dashboard:
        page = await visitor.open(f"{await serve(dashboard)}/#/broker")
        place = page.get_by_role("table", name="Queues of the cluster").get_by_role("row").last
        node = redis_cluster.nodes[2]
        await expect(place).to_contain_text(f"{queue_of_cluster}11,958127.0.0.1:{node.port}")


async def test_many_queues_take_one_line_each_those_in_trouble_first(
    site: str, visitor: Visitor, client: pyasynq.Client, inspector: pyasynq.Inspector
) -> None:
    for number in range(45):
        info = await client.enqueue(pyasynq.Task("a"), queue=f"tenant-{number}")
        await inspector.delete_task(info.queue, info.id)
    await client.enqueue(pyasynq.Task("a"), queue="tenant-30")
    page = await visitor.open(site)
    lines = page.get_by_role("region", name="Queues").locator(".grid100 li")
    await expect(lines).to_have_count(45)
    await expect(lines.first).to_contain_text("tenant-30")
    await page.get_by_role("button", name="bars").click()
    await expect(page.get_by_role("table", name="Queues").get_by_role("row")).to_have_count(46)


async def test_a_long_payload_stays_in_its_panel(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    info = await client.enqueue(pyasynq.Task("a", b'{"text": "' + b"x" * 10_000 + b'"}'))
    page = await visitor.open(f"{site}#/task/default/{info.id}")
    await expect(page.get_by_role("region", name="Payload")).to_contain_text("x" * 200)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(wide) == 0


async def test_the_audit_shows_who_did_what(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a"), queue="mails")
    page = await visitor.open(f"{site}#/queue/mails")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await page.get_by_role("link", name="Audit").click()
    entry = page.get_by_role("table", name="Audit").get_by_role("row").last
    await expect(entry).to_contain_text("localpausedmails")


async def test_a_word_that_looks_like_a_key_is_explained(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("email:welcome"))
    page = await visitor.open(f"{site}#/tasks?q=email%3Awelcome")
    note = page.get_by_role("status").filter(has_text="There is no key email:")
    await expect(note).to_contain_text("Did you mean type:email:welcome?")
    await expect(page.get_by_text("1 task matches")).to_be_visible()


async def test_a_plain_address_leads_to_its_page(site: str, visitor: Visitor) -> None:
    page = await visitor.open(f"{site}schedules?sort=next")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Schedules")
    assert page.url.endswith("/#/schedules?sort=next")


async def test_an_unknown_page_leads_back(site: str, visitor: Visitor) -> None:
    page = await visitor.open(f"{site}#/nowhere")
    await page.get_by_role("link", name="Back to Overview").click()
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


async def test_the_pages_work_on_sqlite(tmp_path: Path, serve: Serve, visitor: Visitor) -> None:
    url = f"sqlite:///{tmp_path}/tasks.db"
    async with pyasynq.Client(url) as client:
        await client.enqueue(pyasynq.Task("a", b"{}"), process_in=timedelta(hours=1))
    async with Dashboard(url) as dashboard:
        page = await visitor.open(f"{await serve(dashboard)}/")
        row = page.get_by_role("table", name="Queues").get_by_role("row").filter(has_text="default")
        await expect(row.get_by_title("1 scheduled")).to_be_visible()
        await page.get_by_role("link", name="SQLite").click()
        await expect(page.get_by_role("heading", name="SQLite", exact=True)).to_be_visible()
        await expect(page.get_by_text("SQLite keeps no list of slow statements.")).to_be_visible()


async def test_the_time_line_counts_tries_in_the_language_of_the_reader(
    site: str, visitor: Visitor, shop: Shop
) -> None:
    page = await visitor.open(f"{site}#/task/default/{shop.failed_id}", locale="zh-TW")
    await expect(page.get_by_label("時間軸").first).to_contain_text("第 1 次: ShopError: closed")


async def test_chinese_readers_get_chinese_pages(
    site: str, visitor: Visitor, client: pyasynq.Client
) -> None:
    await client.enqueue(pyasynq.Task("a", b"{}"), queue="mails")
    page = await visitor.open(site, locale="zh-TW")
    await expect(page.get_by_role("heading", name="總覽")).to_be_visible()
    await expect(page.get_by_label("警示")).to_contain_text("沒有任何工作程序服務此佇列")
    await expect(page.get_by_label("警示")).to_contain_text("持久化")
    await page.get_by_role("combobox", name="語言").select_option("English")
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
