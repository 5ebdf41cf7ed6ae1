"""One task: what happened to it, why it waits, and actions on it."""

from pyasynq import Client, Inspector, Task
from pyasynq.broker import Broker
from tests.dashboard.browser.shop import Shop
from tests.support.factories import a_pending, a_scheduled, enqueue
from tests.terminal.view import LARGE, View, dashboard


async def open_task(view: View, line: str) -> None:
    """Open the only task that *line* finds."""
    await view.search(line)
    await view.see("1 task matches")
    await view.press("enter")
    await view.see("Facts")


async def test_a_task_says_why_it_waits(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2", payload=b"x"))
    async with dashboard(address) as view:
        await open_task(view, "payload:x")
        await view.see("q / 2", "1 task runs before it", "no worker serves queue 'q'")


async def test_a_delayed_task_says_when_it_is_due(address: str, broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.see("it is scheduled for later, in ", "Time line", "due")


async def test_a_payload_is_shown_in_its_form(address: str, client: Client) -> None:
    payload = b'{"to": "ann", "lines": [1, 2]}'
    await client.enqueue(Task("t", payload, queue="q", headers={"trace": "a1"}))
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "queue:q")
        await view.see("json, 30 bytes", '"to": "ann",', "trace  a1")


async def test_bytes_are_shown_in_hexadecimal(address: str, client: Client) -> None:
    await client.enqueue(Task("t", b"\xff\x00\x80", queue="q"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.see("binary, 3 bytes", "ff 00 80")


async def test_of_a_long_payload_the_first_part_is_shown(address: str, client: Client) -> None:
    await client.enqueue(Task("t", b"x" * 30_000 + b"END", queue="q"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press(*["pagedown"] * 30)
        await view.see("… only the first part is shown")
        assert "END" not in view.text


async def test_tries_are_shown_with_their_tracebacks(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "state:retry")
        await view.see("try 1,", "ShopError: closed", "in fail", "raise ShopError", "1 of 25")


async def test_a_result_is_shown(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "state:completed")
        await view.see("Result", "thanks for 6", "completed", "deleted")


async def test_a_running_task_names_its_worker(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "state:active")
        await view.see("runs on", "runs for", "this run must end")


async def test_a_task_is_changed_from_its_page(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("a")
        await view.agree("Archive t 1?")
        await view.see("t  archived")
        await view.press("r")
        await view.agree("Run t 1 now?")
        await view.see("t  pending")
        await view.press("d")
        await view.agree("Delete t 1?")
        await view.see("✕")
        await view.press("r")  # nothing is left to run
        await view.see_no("y yes")
        await view.press("escape")
        await view.see("No task matches.")
    assert (await inspector.queue_info("q")).size == 0


async def test_a_run_is_cancelled_from_its_page(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "state:active")
        await view.press("c")
        await view.agree("Cancel shop:run")
        await view.see("shop:run  retry", "context canceled")


async def test_the_id_is_copied(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("i")
        await view.see("copied 1")
        assert view.app.clipboard == "1"


async def test_a_long_page_scrolls(address: str, client: Client) -> None:
    await client.enqueue(Task("t", b"\n".join(b"line %d" % n for n in range(60)), queue="q"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.see("line 1")
        await view.press("j", "j", "down", "space", "space", "space", "space")
        await view.see("line 59")
        await view.press(*["k", "up"] * 2, *["pageup"] * 5)
        await view.see("Facts")
