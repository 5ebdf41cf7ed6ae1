"""Types: what is slow, and what fails."""

from pyasynq import Client, Inspector, Task
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import ON_ONE
from tests.terminal.view import LARGE, dashboard


async def test_types_and_failures_are_shown(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "y")
        await view.see("shop:done", "0.0%", "shop:fail", "100.0%", "ShopError: closed")
        await view.see("1ms … 1h11m", "█")


@ON_ONE
async def test_without_runs_it_says_so(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "y")
        await view.see("Nothing ran in this time.", "No task waits for another try")


@ON_ONE
async def test_the_time_that_is_looked_back_changes(address: str, shop: Shop) -> None:
    async with dashboard(address) as view:
        await view.press("g", "y")
        await view.see("Runs of the last 1h")
        await view.press("t")
        await view.see("Runs of the last 8h")
        await view.press("t")
        await view.see("Runs of the last 3d")
        await view.press("t")
        await view.see("Runs of the last 1h")


@ON_ONE
async def test_a_type_opens_its_tasks(address: str, shop: Shop) -> None:
    async with dashboard(address) as view:
        await view.press("g", "y")
        await view.see("shop:done")
        await view.press("enter")
        await view.see("type:shop:done", "1 task matches", "completed")


@ON_ONE
async def test_a_type_opens_its_failed_tasks(address: str, shop: Shop) -> None:
    async with dashboard(address) as view:
        await view.press("g", "y")
        await view.see("shop:fail")
        await view.press("j", "f")
        await view.see("state:retry,archived type:shop:fail", "1 task matches")


@ON_ONE
async def test_a_failure_opens_its_tasks(
    address: str, client: Client, inspector: Inspector, shop: Shop
) -> None:
    await client.enqueue(Task("other", queue="q", task_id="1"))
    await inspector.archive_task("q", "1")
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "y")
        await view.see("ShopError: closed", "(no text)")
        await view.press("tab", "enter")
        await view.see('type:shop:fail error:"ShopError: closed"', "1 task matches")
        await view.press("escape")
        await view.see("Failing")
        await view.press("j", "f")
        await view.see("queue:q state:retry,archived type:other", "1 task matches")
