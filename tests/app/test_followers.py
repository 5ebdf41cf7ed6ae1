"""Typed tasks follow other tasks, and functions of an app get the outcomes of its tasks."""

from typing import Any, TypeAlias

import pytest

from pyasynq import ActiveTask, App, OptionError, Outcome, SkipRetry, Task, TypedTask

Follower: TypeAlias = TypedTask[[Outcome], None]


class Ran:
    """What the tasks of a test have noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []


@pytest.fixture
def ran() -> Ran:
    return Ran()


@pytest.fixture
def follower(app: App, ran: Ran) -> Follower:
    @app.task("follower", queue="low")
    async def follow(outcome: Outcome, /) -> None:
        ran.notes.append(f"{outcome.outcome} {outcome.type} {outcome.payload!r} {outcome.error}")

    return follow


async def drain(app: App) -> None:
    """Run all tasks of the app, and those that follow."""
    await app.server(queues={"default": 1, "low": 1}).run()


async def test_a_task_follows_a_success(app: App, follower: Follower, ran: Ran) -> None:
    @app.task("pay", on_success=follower)
    async def pay(amount: int) -> None:
        pass

    await pay.enqueue(3)
    await drain(app)
    assert ran.notes == ["succeeded pay b'{\"amount\":3}' None"]


async def test_a_task_follows_a_failure_for_good(app: App, follower: Follower, ran: Ran) -> None:
    @app.task("pay", on_failure=follower)
    def pay() -> None:
        raise SkipRetry("no money")

    await pay.enqueue()
    await drain(app)
    assert ran.notes == ["archived pay b'{}' no money"]


async def test_a_task_follows_only_the_type_that_names_it(
    app: App, follower: Follower, ran: Ran
) -> None:
    @app.task("pay", on_success=follower)
    async def pay() -> None:
        pass

    @app.task("payroll")
    async def payroll() -> None:
        pass

    await payroll.enqueue()
    await drain(app)
    assert ran.notes == []


async def test_a_task_follows_all_types_with_a_prefix(
    app: App, follower: Follower, ran: Ran
) -> None:
    @app.task("mail:welcome")
    async def welcome() -> None:
        raise SkipRetry("no address")

    app.when("archived", "mail:", follower)
    await welcome.enqueue()
    await drain(app)
    assert ran.notes == ["archived mail:welcome b'{}' no address"]


async def test_the_outcome_may_be_a_named_argument(app: App, ran: Ran) -> None:
    @app.task("follower")
    async def follow(task: ActiveTask, outcome: Outcome) -> None:
        ran.notes.append(f"{task.type} {outcome.id}")

    @app.task("pay", on_success=follow)
    async def pay() -> None:
        pass

    info = await pay.enqueue()
    await drain(app)
    assert ran.notes == [f"follower {info.id}"]


async def test_a_function_hears_what_became_of_a_task(app: App, ran: Ran) -> None:
    @app.task("pay")
    async def pay() -> None:
        pass

    @app.on("succeeded", prefix="pay")
    async def note(outcome: Outcome) -> None:
        ran.notes.append(outcome.id)

    info = await pay.enqueue()
    await drain(app)
    assert ran.notes == [info.id]


async def test_a_handler_adds_typed_tasks(app: App, ran: Ran) -> None:
    @app.task("ship", queue="low")
    async def ship(order: int) -> None:
        ran.notes.append(f"shipped {order}")

    @app.task("pay")
    async def pay(task: ActiveTask, order: int) -> None:
        task.then(ship.task(order))

    await pay.enqueue(order=7)
    await drain(app)
    assert ran.notes == ["shipped 7"]


async def test_a_task_that_takes_no_outcome_cannot_follow(app: App) -> None:
    @app.task("pay")
    async def pay(amount: int) -> None:
        pass

    wrong: Any = pay
    with pytest.raises(TypeError, match=r"must take one argument, a pyasynq\.Outcome"):
        app.when("archived", "", wrong)
    with pytest.raises(TypeError, match=r"must take one argument, a pyasynq\.Outcome"):
        app.task("other", on_failure=wrong)


async def test_only_a_typed_task_can_follow(app: App) -> None:
    wrong: Any = Task("follower")
    with pytest.raises(TypeError, match="only a typed task can follow"):
        app.task("other", on_success=wrong)


async def test_an_outcome_that_is_not_final_is_refused(app: App, follower: Follower) -> None:
    outcome: Any = "retried"
    with pytest.raises(OptionError, match="'succeeded' or 'archived'"):
        app.when(outcome, "", follower)
