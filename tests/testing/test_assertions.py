"""Assertions about waiting tasks, and what they say when they fail."""

from dataclasses import dataclass
from datetime import timedelta
from unittest.mock import ANY

import pytest

from pyasynq import App, Client, OptionError, Task, TypedTask
from pyasynq.testing import Tasks
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
Welcome = TypedTask[..., str]


@dataclass
class Order:
    id: int
    lines: list[str]


async def enqueue(task: Task) -> None:
    """Enqueue *task* with a client that does not belong to the app."""
    await Client(NOWHERE).enqueue(task)


# -- what fits -------------------------------------------------------------------------------------


async def test_arguments_are_compared_by_name_and_defaults_count(
    tasks: Tasks, welcome: Welcome
) -> None:
    await welcome.enqueue("bob")
    tasks.assert_enqueued(welcome)
    tasks.assert_enqueued(welcome, name="bob")
    tasks.assert_enqueued(welcome, name=ANY, locale="en")
    tasks.refute_enqueued(welcome, locale="fr")


async def test_a_whole_payload_is_compared_as_the_parameter(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("order:ship")
    async def ship(order: Order, /) -> None: ...

    await ship.enqueue(Order(7, ["a"]))
    tasks.assert_enqueued(ship, order=Order(7, ["a"]))
    tasks.refute_enqueued(ship, order=Order(8, ["a"]))


async def test_a_type_may_stand_for_the_task(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    tasks.assert_enqueued("email:welcome", name="bob", locale="en")


async def test_a_type_that_the_app_does_not_know_has_the_arguments_of_its_json(
    tasks: Tasks,
) -> None:
    await enqueue(Task("go:resize", b'{"width":100,"height":50}'))
    tasks.assert_enqueued("go:resize", width=100)
    tasks.refute_enqueued("go:resize", width=100, depth=1)


async def test_a_task_stands_for_its_type_and_payload(tasks: Tasks) -> None:
    await enqueue(Task("t", b"payload"))
    tasks.assert_enqueued(Task("t", b"payload"))
    tasks.refute_enqueued(Task("t"))


async def test_facts_are_compared(tasks: Tasks, welcome: Welcome) -> None:
    options = welcome.options(
        queue="critical", task_id="7", process_in=HOUR, headers={"trace": "1", "span": "2"}
    )
    await options.enqueue("bob")
    tasks.assert_enqueued(queue="critical", id="7", headers={"trace": "1"}, state="scheduled")
    tasks.assert_enqueued(process_in=HOUR)
    tasks.assert_enqueued(process_at=tasks.now + HOUR)
    tasks.refute_enqueued(headers={"trace": "2"})
    tasks.refute_enqueued(process_in=timedelta(0))


async def test_the_time_until_a_task_is_due_gets_shorter(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.options(process_in=2 * HOUR).enqueue("bob")
    await tasks.advance(HOUR)
    tasks.assert_enqueued(welcome, process_in=HOUR)


async def test_an_argument_may_have_the_name_of_a_fact(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("move")
    async def move(queue: str) -> None: ...

    await move.enqueue("fast")
    tasks.assert_enqueued(move, arguments={"queue": "fast"}, queue="default")
    tasks.refute_enqueued(move, queue="fast")


async def test_enqueued_returns_what_fits(tasks: Tasks, welcome: Welcome) -> None:
    bob = await welcome.enqueue("bob")
    eve = await welcome.enqueue("eve")
    assert tasks.enqueued(welcome) == [bob, eve]
    assert tasks.enqueued(welcome, name="eve") == [eve]


async def test_all_tasks_of_a_long_queue_are_found(tasks: Tasks) -> None:
    await Client(NOWHERE).enqueue_many([Task("t") for _ in range(600)])
    tasks.assert_enqueued("t", count=600)


# -- what a failure says ---------------------------------------------------------------------------


def failure_of(tasks: Tasks, *task: object, **matches: object) -> str:
    """Return the message with which `assert_enqueued` fails."""
    with pytest.raises(AssertionError) as failure:
        tasks.assert_enqueued(*task, **matches)  # type: ignore[arg-type]
    return str(failure.value)


async def test_a_failure_lists_what_waits_and_how_it_differs_nearest_first(
    tasks: Tasks, welcome: Welcome
) -> None:
    await enqueue(Task("invoice", b"7"))
    await welcome.options(queue="critical").enqueue("eve")
    await welcome.options(process_in=HOUR).enqueue("eve")
    assert failure_of(tasks, welcome, name="bob", queue="critical").splitlines() == [
        "no task is enqueued: email:welcome(name='bob'), queue 'critical'",
        "enqueued are:",
        "  email:welcome(name='eve', locale='en'), queue 'critical'",
        "    differs: name is 'eve'",
        "  email:welcome(name='eve', locale='en'), queue 'default', due in 1h0m0s",
        "    differs: queue is 'default'; name is 'eve'",
        "  invoice(b'7'), queue 'default'",
    ]


async def test_a_failure_says_when_a_task_is_due(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    assert failure_of(tasks, welcome, process_in=HOUR).splitlines() == [
        "no task is enqueued: email:welcome(), due in 1h0m0s",
        "enqueued are:",
        "  email:welcome(name='bob', locale='en'), queue 'default'",
        "    differs: due now",
    ]


async def test_a_wrong_number_is_named(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    message = failure_of(tasks, welcome, count=2)
    assert message.startswith("1 task is enqueued, instead of 2: email:welcome()\n")


async def test_no_task_is_a_number_that_can_be_expected(tasks: Tasks, welcome: Welcome) -> None:
    tasks.assert_enqueued(welcome, count=0)
    await welcome.enqueue("bob")
    assert "1 task is enqueued, instead of 0" in failure_of(tasks, welcome, count=0)


async def test_a_failure_names_what_has_run(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    await tasks.drain()
    assert failure_of(tasks, welcome).splitlines() == [
        "no task is enqueued: email:welcome()",
        "nothing is enqueued",
        "tasks that have run, and wait no more: email:welcome",
    ]


async def test_a_refutation_lists_what_waits(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    with pytest.raises(AssertionError, match=r"1 task is enqueued: email:welcome\(name='bob'\)"):
        tasks.refute_enqueued(welcome, name="bob")


async def test_a_long_list_and_a_long_value_are_cut(tasks: Tasks, welcome: Welcome) -> None:
    for _ in range(22):
        await welcome.enqueue("x" * 1000)
    lines = failure_of(tasks, welcome, name="bob").splitlines()
    assert lines[-1] == "  and 2 more"
    assert max(map(len, lines)) < 300


async def test_a_payload_that_does_not_fit_is_shown_as_it_is(
    tasks: Tasks, welcome: Welcome
) -> None:
    await enqueue(Task("email:welcome", b'{"name":7}'))
    lines = failure_of(tasks, welcome, name="bob").splitlines()
    assert lines[2:] == [
        """  email:welcome(b'{"name":7}'), queue 'default'""",
        "    differs: its payload has no arguments",
    ]


# -- what is refused -------------------------------------------------------------------------------


async def test_an_unknown_parameter_is_refused_because_it_would_fit_no_task(
    tasks: Tasks, welcome: Welcome
) -> None:
    with pytest.raises(TypeError, match=r"takes \(name, locale\), not 'nam'; did you mean 'name'"):
        tasks.refute_enqueued(welcome, nam="bob")


@pytest.mark.parametrize(
    "facts",
    [
        {"process_in": 10},
        {"process_at": "tomorrow"},
        {"process_in": HOUR, "process_at": HOUR},
    ],
)
async def test_a_time_that_cannot_be_is_refused(tasks: Tasks, facts: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="process_"):
        tasks.enqueued(**facts)
