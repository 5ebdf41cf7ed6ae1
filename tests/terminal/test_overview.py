"""The overview: all queues with their counts and rates, and what is wrong."""

from pyasynq import Client, Inspector, Task
from pyasynq.broker import Broker
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import ON_ONE
from tests.support.factories import a_pending, a_scheduled, enqueue
from tests.support.waiting import wait_until
from tests.terminal.view import LARGE, audit_of, dashboard


async def test_a_queue_is_shown_with_its_counts(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"), a_pending("3", queue="other"))
    async with dashboard(address) as view:
        await view.see("3 waiting", "other")
        assert view.line("  q ")[:6] == ["q", "2", "0", "0", "0", "0"]


@ON_ONE
async def test_a_wide_screen_shows_more_columns(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address, size=LARGE) as view:
        await view.see("  q ", "Group", "In/s")
        assert "none" in view.line("  q ")


async def test_rates_and_the_last_hour_are_shown(address: str, shop: Shop) -> None:
    async with dashboard(address) as view:
        await view.see("█", "0.0 out/s", "1/5 slots busy   1 worker")


@ON_ONE
async def test_without_queues_it_says_so(address: str) -> None:
    async with dashboard(address) as view:
        await view.see("No queue has had a task yet.")


@ON_ONE
async def test_what_is_wrong_comes_first(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address, size=LARGE) as view:
        await view.see("✕ q: 1 task waits, and no worker serves the queue → pyasynq worker")


@ON_ONE
async def test_many_alerts_leave_room_for_the_queues(address: str, broker: Broker) -> None:
    await enqueue(broker, *(a_pending("1", queue=f"q{n}") for n in range(9)))
    async with dashboard(address) as view:
        await view.see("more: pyasynq doctor", "Last hour", "q8")


async def test_a_queue_is_paused_and_resumed(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("p")
        await view.agree("Pause queue q?")
        await view.see("q is paused", "q paused")
        assert (await inspector.queue_info("q")).paused
        await view.press("p")
        await view.agree("Resume queue q?")
        await view.see("q is resumed")
    assert not (await inspector.queue_info("q")).paused
    actions = [(it.action, it.target, it.outcome, it.role) for it in await audit_of(broker)]
    assert actions == [
        ("queue.pause", "q", "done", "admin"),
        ("queue.resume", "q", "done", "admin"),
    ]


@ON_ONE
async def test_a_refusal_is_shown(address: str, broker: Broker, inspector: Inspector) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("p")
        await view.see("Pause queue q?")
        await inspector.pause("q")  # by somebody else
        await view.press("y")
        await view.see("1 refused:")
    (entry,) = await audit_of(broker)
    assert (entry.outcome, entry.count) == ("refused", 0)


async def test_all_failed_tasks_of_a_queue_are_run(
    address: str, client: Client, inspector: Inspector
) -> None:
    for n in range(3):
        await client.enqueue(Task("t", queue="q", task_id=str(n)))
        await inspector.archive_task("q", str(n))
    async with dashboard(address) as view:
        await view.see("3 archived")
        await view.press("R")
        await view.agree("Run 3 tasks that match queue:q state:retry,archived now?")
        await view.see("pending now: 3 tasks", "3 waiting")
    assert (await inspector.queue_info("q")).pending == 3


async def test_the_tasks_of_a_state_are_deleted(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"), a_scheduled("2"), a_scheduled("3"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("d")
        await view.see("Delete which tasks of queue q?", "p  1 pending", "x  all 3")
        await view.press("s")
        await view.agree("Delete 2 tasks that match queue:q state:scheduled?")
        await view.see("deleted: 2 tasks")
    assert [it.id for it in await inspector.list_tasks("q", "pending")] == ["1"]
    assert (await inspector.queue_info("q")).scheduled == 0


async def test_all_tasks_of_a_queue_but_those_that_run_are_deleted(
    address: str, shop: Shop, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.see("  default ")
        await view.press("d")
        await view.see("c  1 completed", "x  all 2")
        await view.press("x")
        await view.agree("Delete 2 tasks that match queue:default -state:active?")
        await view.see("deleted: 2 tasks")
    info = await inspector.queue_info("default")
    assert (info.active, info.size) == (1, 1)


@ON_ONE
async def test_a_queue_without_tasks_has_none_to_delete(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"))
    await inspector.delete_task("q", "1")
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("d")
        await view.see("nothing to do: queue q has no task")
        await view.press("D")
        await view.agree("Delete queue q?", "with its counters, groups and locks.")
        await view.see("queue q is deleted", "No queue has had a task yet.")
    assert await inspector.queues() == []


async def test_a_queue_with_tasks_is_deleted_when_its_name_was_typed(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"), a_pending("1", queue="r"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("D")
        await view.see("Delete queue q?", "and with its 2", "tasks. This cannot be undone.")
        await view.write("r")
        await view.see("that is not its name")
        await view.press("D")
        await view.see("Delete queue q?")
        await view.press("escape")
        await view.see_no("Delete queue q?")
        assert await inspector.queues() == ["q", "r"]
        await view.press("D")
        await view.see("Delete queue q?")
        await view.write("q")
        await view.see("queue q is deleted")
    assert await inspector.queues() == ["r"]
    actions = [(it.action, it.target, it.count, it.outcome) for it in await audit_of(broker)]
    assert actions == [("queue.delete", "q", 0, "begun"), ("queue.delete", "q", 2, "done")]


@ON_ONE
async def test_a_queue_with_running_tasks_is_not_deleted(address: str, shop: Shop) -> None:
    async with dashboard(address) as view:
        await view.see("  default ")
        await view.press("D")
        await view.see("cannot remove queue")
        await view.see_no("Type its name")


async def test_a_queue_that_has_got_tasks_meanwhile_stays(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"))
    await inspector.delete_task("q", "1")
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("D")
        await view.see("Delete queue q?", "y yes")
        await enqueue(broker, a_pending("2"))
        await view.press("y")
        await view.see("not empty")
    assert (await inspector.queue_info("q")).pending == 1


@ON_ONE
async def test_without_failed_tasks_nothing_is_asked(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.see("  q ")
        await view.press("R")
        await view.see("nothing to do")
        await view.see_no("y yes", "Counting")


@ON_ONE
async def test_a_queue_is_found_by_its_name(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", queue="mail"), a_pending("1", queue="video"))
    async with dashboard(address, size=LARGE) as view:
        await view.see("  mail ", "  video ")
        await view.press("g", "q")
        await wait_until(lambda: view.app.focused is not None and view.app.focused.id == "filter")
        await view.press(*"vid")
        await view.see_no("  mail ")
        await view.press("enter", "enter")
        await view.see("queue:video", "1 task matches")


@ON_ONE
async def test_leaving_the_filter_shows_all_queues(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", queue="mail"), a_pending("1", queue="video"))
    async with dashboard(address, size=LARGE) as view:
        await view.see("  mail ")
        await view.press("f", *"vid")
        await view.see_no("  mail ")
        await view.press("escape")
        await view.see("  mail ", "  video ")


@ON_ONE
async def test_enter_opens_the_tasks_of_a_queue(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", queue="a b"))
    async with dashboard(address) as view:
        await view.see("  a b ")
        await view.press("enter")
        await view.see('queue:"a b"', "1 task matches", "pending")


@ON_ONE
async def test_queues_are_sorted_by_a_column(address: str, broker: Broker) -> None:
    few, many = a_pending("1", queue="few"), [a_pending(str(n), queue="many") for n in range(3)]
    await enqueue(broker, few, *many)

    def first() -> str:
        (n,) = [n for n, line in enumerate(view.lines) if "Last hour" in line]
        return view.lines[n + 1].split()[0]

    async with dashboard(address) as view:
        await view.see("  few ", "  many ")
        assert first() == "few"
        await view.press("s", "s")
        await view.see("Pend▾")
        assert first() == "many"
