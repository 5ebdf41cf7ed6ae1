"""One task: what happened to it, why it waits, and actions on it."""

from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import Client, Inspector, Task
from pyasynq.broker import Broker
from pyasynq.core.compose import Plan
from pyasynq.terminal.task import why_not_edited
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import ON_ONE
from tests.support.factories import a_pending, a_scheduled, enqueue
from tests.terminal.view import LARGE, View, audit_of, dashboard


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


@ON_ONE
async def test_a_delayed_task_says_when_it_is_due(address: str, broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.see("it is scheduled for later, in ", "Time line", "due")


@ON_ONE
async def test_a_payload_is_shown_in_its_form(address: str, client: Client) -> None:
    payload = b'{"to": "ann", "lines": [1, 2]}'
    await client.enqueue(Task("t", payload, queue="q", headers={"trace": "a1"}))
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "queue:q")
        await view.see("json, 30 bytes", '"to": "ann",', "trace  a1")


@ON_ONE
async def test_bytes_are_shown_in_hexadecimal(address: str, client: Client) -> None:
    await client.enqueue(Task("t", b"\xff\x00\x80", queue="q"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.see("binary, 3 bytes", "ff 00 80")


@ON_ONE
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


@ON_ONE
async def test_a_result_is_shown(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "state:completed")
        await view.see("Result", "thanks for 6", "completed", "deleted")


@ON_ONE
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


async def test_a_task_is_rescheduled(address: str, broker: Broker, inspector: Inspector) -> None:
    await enqueue(broker, a_scheduled("1"))
    before = datetime.now(UTC)
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("t")
        await view.see("Reschedule t 1", "Time from now", "10m")
        await view.press("escape")
        await view.see_no("Time from now")
        await view.press("t")
        await view.see("Time from now")
        await view.write("2d")
        await view.agree("Reschedule t 1?", ", in 2d.")
        await view.see("rescheduled: q/1", "in 1d23h")
    due = (await inspector.task_info("q", "1")).next_process_at
    assert due is not None
    assert due - timedelta(days=2) >= before
    (entry,) = await audit_of(broker)
    assert (entry.action, entry.target, entry.count) == ("task.reschedule", "q/1", 1)


@ON_ONE
async def test_a_time_that_is_none_changes_nothing(address: str, broker: Broker) -> None:
    await enqueue(broker, a_scheduled("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await _give_no_time(view, "soon")
        await _give_no_time(view, "-5m")
        await _give_no_time(view, "1d-5m")
        await _give_no_time(view, "9999999999d")
        await _give_no_time(view, "99999999d")
    assert await audit_of(broker) == []


async def _give_no_time(view: View, text: str) -> None:
    """Give *text* as the time at which the task is to be due."""
    await view.press("t")
    await view.see("Time from now")
    await view.write(text)
    await view.see(f"{text} is no time")
    await view.see_no("Time from now", "y yes")


async def test_a_payload_is_edited(address: str, client: Client, inspector: Inspector) -> None:
    later = timedelta(hours=1)
    await client.enqueue(Task("t", b'{"to":\n"ann"}'), queue="q", task_id="1", process_in=later)
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("e")
        await view.see("Payload of t 1", '"ann"}', "ctrl+s go on")
        await view.press("down", "right", "b", "o", "b", "delete", "delete", "delete", "ctrl+s")
        await view.agree("Change the payload of t 1?", "the new payload the next time.")
        await view.see("changed: q/1", '"to": "bob"')
    assert (await inspector.task_info("q", "1")).payload == b'{"to":\n"bob"}'


@ON_ONE
async def test_a_payload_that_is_no_longer_json_is_stored_if_it_is_meant(
    address: str, client: Client, broker: Broker, inspector: Inspector
) -> None:
    later = timedelta(hours=1)
    await client.enqueue(Task("t", b"[]"), queue="q", task_id="1", process_in=later)
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("e")
        await view.see("Payload of t 1")
        await view.press("ctrl+s")
        await view.see("the payload is as it was")
        await view.press("e")
        await view.see("Payload of t 1")
        await view.press("x", "escape")
        await view.see_no("Payload of t 1")
        await view.press("e")
        await view.see("Payload of t 1")
        await view.press("x", "ctrl+s")
        await view.agree("It was JSON, but")
        await view.see("changed: q/1", "text, 3 bytes")
    assert (await inspector.task_info("q", "1")).payload == b"x[]"
    (entry,) = await audit_of(broker)
    assert (entry.action, entry.target, entry.detail) == ("task.update", "q/1", "payload")


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (a_pending(), "it is pending: payloads of"),
        (a_scheduled(payload=b"\xff"), "its payload is not text"),
        (a_scheduled(payload=b"a\r\nb"), "has characters that a"),
        (a_scheduled(payload=b"\x1b[31m"), "has characters that a"),
        (a_scheduled(payload=b"x" * 20_001), "its payload is too long"),
        (a_scheduled(headers={"pyasynq:codec": "aes"}), "is sealed by aes"),
    ],
)
@ON_ONE
async def test_a_payload_that_cannot_be_edited_says_why(
    plan: Plan, why: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, plan)
    said = why_not_edited(await inspector.task_info("q", "1"))
    assert said is not None
    assert why in said


@ON_ONE
async def test_what_cannot_be_edited_is_not_offered(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("e")
        await view.see("it is pending: payloads of")
        await view.see_no("ctrl+s")


async def test_a_copy_of_a_task_is_enqueued_and_shown(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_scheduled("1", payload=b"p", headers={"a": "b"}))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("y")
        await view.agree("Duplicate t 1?", "the original stays")
        await view.see("duplicated: q/1", "t  pending")
        (copy,) = await inspector.list_tasks("q", "pending")
        assert (copy.type, copy.payload, copy.headers) == ("t", b"p", {"a": "b"})
        await view.see(copy.id)
        await view.press("escape")
        await view.see("q / 1", "t  scheduled")
    (entry,) = await audit_of(broker)
    assert (entry.action, entry.target) == ("task.duplicate", "q/1")


@ON_ONE
async def test_a_run_is_cancelled_from_its_page(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await open_task(view, "state:active")
        await view.press("c")
        await view.agree("Cancel shop:run")
        await view.see("shop:run  retry", "context canceled")


@ON_ONE
async def test_the_id_is_copied(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.press("i")
        await view.see("copied 1")
        assert view.app.clipboard == "1"


@ON_ONE
async def test_a_long_page_scrolls(address: str, client: Client) -> None:
    await client.enqueue(Task("t", b"\n".join(b"line %d" % n for n in range(60)), queue="q"))
    async with dashboard(address) as view:
        await open_task(view, "queue:q")
        await view.see("line 1")
        await view.press("j", "j", "down", "space", "space", "space", "space")
        await view.see("line 59")
        await view.press(*["k", "up"] * 2, *["pageup"] * 5)
        await view.see("Facts")
