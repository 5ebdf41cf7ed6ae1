"""Tasks: a search line, and actions on selected tasks or on all that match."""

from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import Inspector
from pyasynq.broker import Broker
from pyasynq.core.states import TaskState
from pyasynq.operations import jobs
from pyasynq.terminal import tasks as tasks_module
from pyasynq.terminal.tasks import with_next_state
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import ON_ONE
from tests.support.factories import a_pending, a_scheduled, enqueue, many_pending
from tests.support.waiting import wait_until
from tests.terminal.view import LARGE, View, audit_of, dashboard


async def test_all_tasks_are_listed(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_scheduled("2", queue="r"))
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "t")
        await view.see("2 tasks match; looked at 2 of 2", "pending", "scheduled", "in ")


async def test_a_line_finds_tasks(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", payload=b"one"), a_pending("2", payload=b"two"))
    async with dashboard(address) as view:
        await view.search("queue:q payload:two")
        await view.see("1 task matches; looked at 2 of 2", "two")
        await view.see_no("one")


@ON_ONE
async def test_a_wrong_line_is_explained(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.search("state:retri")
        await view.see("there is no state 'retri': did you mean state:retry?", "No task matches.")


@ON_ONE
async def test_a_term_is_completed(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", queue="invoices"))
    async with dashboard(address) as view:
        await view.press("slash")
        await view.see("match")
        await view.press(*"queue:inv")
        await view.see("queue:invoices")
        await view.press("right", "enter")
        await view.see("queue:invoices", "1 task matches;")


@ON_ONE
async def test_escape_leaves_the_line_as_it_was(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await view.see("1 task matches")
        await view.press("slash", *" type:x", "escape")
        await view.see_no("type:x")


@ON_ONE
async def test_keys_choose_the_state(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_scheduled("2"))
    async with dashboard(address) as view:
        await view.press("g", "t")
        await view.see("2 tasks match")
        await view.press("l", "l")
        await view.see("state:pending", "1 task matches")
        await view.press("h", "h")
        await view.see("2 tasks match")


@pytest.mark.parametrize(
    ("line", "step", "found"),
    [
        ("", 1, "state:active"),
        ("", -1, "state:completed"),
        ("state:completed", 1, ""),
        ("state:pending queue:q", 1, "queue:q state:aggregating"),
        ("state:retry,archived queue:q", 1, "queue:q state:active"),
    ],
)
def test_the_next_state_takes_the_place_of_the_last(line: str, step: int, found: str) -> None:
    assert with_next_state(line, step) == found


async def test_more_is_looked_at_when_asked_for(
    address: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "PAGE", 10)
    await enqueue(broker, *many_pending(25))
    async with dashboard(address) as view:
        await view.press("g", "t")
        await view.see("10 tasks match so far; looked at 10 of 25   m looks further")
        await view.press("m")
        await view.see("20 tasks match so far")
        await view.press("m")
        await view.see("25 tasks match; looked at 25 of 25")


@ON_ONE
async def test_failed_tasks_show_their_error(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.search("state:retry")
        await view.see("ShopError: closed", "shop:fail", "in 59m")


async def test_a_task_is_archived(address: str, broker: Broker, inspector: Inspector) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await view.see("1 task matches")
        await view.press("a")
        await view.agree("Archive t 1?")
        await view.see("archived: q/1")
        assert (await inspector.task_info("q", "1")).state is TaskState.ARCHIVED
    (entry,) = await audit_of(broker)
    assert (entry.action, entry.target, entry.count) == ("task.archive", "q/1", 1)


async def test_a_task_is_run(address: str, broker: Broker, inspector: Inspector) -> None:
    await enqueue(broker, a_scheduled("1"))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await view.see("1 task matches")
        await view.press("r")
        await view.agree("Run t 1 now?")
        await view.see("pending now: q/1")
    assert (await inspector.task_info("q", "1")).state is TaskState.PENDING


async def test_selected_tasks_are_deleted(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, *(a_pending(str(n)) for n in range(4)))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await view.see("4 tasks match")
        await view.press("x", "j", "j", "X", "d")
        await view.agree("Delete 3 tasks?", "A deleted task is gone")
        await view.see("deleted: 3", "1 task matches")
    assert (await inspector.queue_info("q")).size == 1
    (entry,) = await audit_of(broker)
    assert (entry.target, entry.count) == ("q/0, q/1, q/2", 3)


@ON_ONE
async def test_a_selection_is_undone_before_the_page_is_left(address: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await view.see("1 task matches")
        await view.press("x")
        await view.see("● pending")
        await view.press("escape")
        await view.see_no("● pending")
        await view.press("escape")
        await view.see("Last hour")


@ON_ONE
async def test_any_other_answer_changes_nothing(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await _decline(view, "n")
        await _decline(view, "escape")
        await _decline(view, "q")
    assert (await inspector.queue_info("q")).size == 1
    assert await audit_of(broker) == []


async def _decline(view: View, key: str) -> None:
    """Begin to delete the task with the cursor, and answer with *key*."""
    await view.see("1 task matches")
    await view.press("d")
    await view.see("Delete t 1?")
    await view.press(key)
    await view.see_no("Delete t 1?")


@ON_ONE
async def test_a_question_gets_the_next_key(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.search("queue:q")
        await view.see("1 task matches")
        await view.press("d", "y")
        await view.see("deleted: q/1")
    assert (await inspector.queue_info("q")).size == 0


async def test_a_running_task_is_cancelled(
    address: str, shop: Shop, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.search("state:active")
        await view.see("shop:run")
        await view.press("c")
        await view.agree("Cancel shop:run")
        await view.see("asked to stop:")

        async def has_failed() -> bool:
            return (await inspector.task_info("default", shop.running_id)).state == "retry"

        await wait_until(has_failed)


@ON_ONE
async def test_what_refuses_is_named(address: str, shop: Shop) -> None:
    async with dashboard(address) as view:
        await view.search("state:active")
        await view.see("shop:run")
        await view.press("d")
        await view.agree("Delete shop:run")
        await view.see("1 refused:")


@pytest.mark.parametrize(
    ("key", "question", "done", "counts"),
    [
        ("R", "Run 3 tasks that match type:mail:* now?", "pending now: 3 tasks", (4, 0)),
        ("D", "Delete 3 tasks that match type:mail:*?", "deleted: 3 tasks", (1, 0)),
    ],
)
async def test_all_that_match_are_changed(
    key: str, question: str, done: str, counts: tuple[int, int], address: str, broker: Broker
) -> None:
    inspector = Inspector(broker)
    mails = [a_pending(task_id, type="mail:send") for task_id in ("1", "2", "3")]
    await enqueue(broker, a_pending("4", type="other"), *mails)
    await inspector.archive_all("q", "pending", type="mail:send")
    async with dashboard(address) as view:
        await view.search("type:mail:*")
        await view.see("3 tasks match")
        await view.press(key)
        await view.agree(question)
        await view.see(done)
    info = await inspector.queue_info("q")
    assert (info.pending, info.archived) == counts
    outcomes = [(it.target, it.count, it.outcome) for it in await audit_of(broker)]
    assert outcomes == [("type:mail:*", 0, "begun"), ("type:mail:*", 3, "done")]


@ON_ONE
async def test_selected_tasks_are_rescheduled_and_duplicated(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_scheduled("1"), a_scheduled("2"), a_pending("3"))
    async with dashboard(address) as view:
        await view.search("state:scheduled")
        await view.see("2 tasks match")
        await view.press("x", "j", "X", "t")
        await view.see("Reschedule 2 tasks", "Time from now")
        await view.write("")
        await view.agree("Reschedule 2 tasks?", ", in 10m.")
        await view.see("rescheduled: 2", "in 9m")
        await view.press("y")
        await view.agree("Duplicate 2 tasks?")
        await view.see("duplicated: 2")
    assert (await inspector.queue_info("q")).pending == 3
    assert [(it.action, it.count) for it in await audit_of(broker)] == [
        ("task.reschedule", 2),
        ("task.duplicate", 2),
    ]


async def test_all_that_match_are_rescheduled(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_scheduled("1"), a_scheduled("2"), a_pending("3"))
    async with dashboard(address) as view:
        await view.search("type:t")
        await view.see("3 tasks match")
        await view.press("T")
        await view.see("Reschedule all tasks that match type:t", "Time from now")
        await view.write("")
        await view.agree("Reschedule 2 tasks that match type:t?", ", in 10m.")
        await view.see("rescheduled: 2 tasks", "in 9m")
    due = [it.next_process_at for it in await inspector.list_tasks("q", "scheduled")]
    assert max(filter(None, due)) < datetime.now(UTC) + timedelta(minutes=10)
    outcomes = [(it.action, it.count, it.outcome) for it in await audit_of(broker)]
    assert outcomes == [("task.reschedule", 0, "begun"), ("task.reschedule", 2, "done")]


@ON_ONE
async def test_all_that_match_are_archived(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    await enqueue(broker, a_pending("1"), a_scheduled("2"))
    async with dashboard(address) as view:
        await view.press("g", "t")
        await view.see("2 tasks match")
        await view.press("A")
        await view.agree("Archive 2 tasks that match state:*?")
        await view.see("archived: 2 tasks")
    assert (await inspector.queue_info("q")).archived == 2


@ON_ONE
async def test_all_that_match_are_cancelled(address: str, shop: Shop, broker: Broker) -> None:
    async with dashboard(address) as view:
        await view.search("type:shop:*")
        await view.see("shop:run")
        await view.press("C")
        await view.agree("Cancel 1 task that matches type:shop:*?")
        await view.see("asked to stop: 1 task")


@ON_ONE
async def test_counting_is_stopped_by_no(
    address: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(broker, *many_pending(3))
    async with dashboard(address) as view:
        await view.search("type:t")
        await view.see("3 tasks match")
        await view.press("D")
        await view.press("n")
        await view.see_no("Counting", "that match type:t?")
    assert await audit_of(broker) == []


@ON_ONE
async def test_too_many_jobs_are_refused(
    address: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_RUNNING", 0)
    await enqueue(broker, a_pending("1"))
    async with dashboard(address) as view:
        await view.press("g", "t")
        await view.see("1 task matches")
        await view.press("D")
        await view.see("0 jobs run already")
        await view.see_no("Counting")


@ON_ONE
async def test_a_job_shows_how_far_it_is_and_is_stopped(
    address: str, broker: Broker, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.inspector.actions.BATCH", 1)
    await enqueue(broker, *many_pending(10_000))
    async with dashboard(address, size=LARGE) as view:
        await view.search("queue:q")
        await view.see("10,000")
        await view.press("D")
        await view.agree("Delete 10,000 tasks that match queue:q?")
        await view.see(". stops it")
        await view.press("q")
        await view.see("Stop the action on all that match (task.delete), and leave?")
        await view.press("n", "full_stop")
        await view.see_no(". stops it")
    assert (await inspector.queue_info("q")).size > 0
    assert (await audit_of(broker))[-1].outcome == "stopped"
