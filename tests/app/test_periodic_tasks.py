"""An app declares periodic tasks."""

from datetime import timedelta
from typing import Any, cast

import pytest

from pyasynq import ActiveTask, App, OptionError, Scheduler, TypedTask
from pyasynq.scheduler.entry import Entry
from pyasynq.testing import Tasks
from tests.support.waiting import wait_until


def entries_of(scheduler: Scheduler) -> list[Entry]:
    return list(scheduler._entries.values())


async def test_a_task_becomes_an_entry_of_the_apps_schedulers(app: App) -> None:
    @app.periodic("*/5 * * * *", queue="high", catch_up="all")
    @app.task("report", queue="low", max_retry=3)
    async def report(days: int = 7) -> None: ...

    (entry,) = entries_of(app.scheduler())
    assert (entry.spec, entry.task.type, entry.catch_up) == ("*/5 * * * *", "report", "all")
    assert (entry.queue, entry.merged.max_retry) == ("high", 3)
    assert entry.task.payload == report.task().payload


async def test_a_function_alone_becomes_a_task_of_its_name(app: App) -> None:
    @app.periodic("@daily")
    def clean_up(task: ActiveTask) -> None: ...

    assert isinstance(clean_up, TypedTask)
    (entry,) = entries_of(app.scheduler())
    assert entry.task.type == clean_up.type == "clean_up"


async def test_a_task_may_have_several_schedules(app: App) -> None:
    @app.periodic("@daily")
    @app.periodic("@hourly", queue="low")
    @app.task("report")
    async def report() -> None: ...

    assert {entry.spec for entry in entries_of(app.scheduler())} == {"@daily", "@hourly"}


async def test_an_app_knows_its_periodic_tasks(app: App) -> None:
    @app.periodic("@every 1m")
    @app.task("clean")
    async def clean() -> None: ...

    assert [(it.spec, it.task.type) for it in app.periodic_tasks] == [("@every 1m", "clean")]


async def test_a_periodic_task_is_still_a_typed_task(app: App) -> None:
    @app.periodic("@daily")
    @app.task("double")
    def double(number: int = 1) -> int:
        return 2 * number

    assert double(2) == 4


@pytest.mark.parametrize(
    ("spec", "options", "error"),
    [
        ("nonsense", {}, OptionError),
        ("@daily", {"max_retry": -1}, OptionError),
        ("@daily", {"catch_up": "some"}, OptionError),
        ("@daily", {"retries": 1}, TypeError),
    ],
)
async def test_a_wrong_spec_or_option_is_refused_where_it_is_declared(
    spec: str, options: dict[str, Any], error: type[Exception], app: App
) -> None:
    with pytest.raises(error):

        @app.periodic(spec, **cast("Any", options))
        def fail() -> None: ...


async def test_a_task_that_needs_arguments_is_refused(app: App) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'name'"):

        @app.periodic("@daily")
        def greet(name: str) -> None: ...


async def test_a_periodic_task_runs(redis_url: str, tasks: Tasks) -> None:
    app = App(redis_url)
    ran: list[str] = []

    @app.periodic("@every 1s")
    async def tick(task: ActiveTask) -> None:
        ran.append(task.id)

    async with app.scheduler().running(), app.server().running():
        await wait_until(lambda: ran)
    tasks.refute_enqueued()


async def test_a_scheduler_may_be_given_another_redis_and_settings(redis_url: str) -> None:
    app = App("redis://nowhere.invalid")
    async with app.scheduler(redis_url, heartbeat_interval=timedelta(seconds=5)).running() as made:
        await made.ping()


async def test_a_task_that_needs_arguments_says_how_it_becomes_periodic(app: App) -> None:
    with pytest.raises(TypeError, match=r"add defaults, or use Scheduler\.register"):

        @app.periodic("@daily")
        def greet(name: str) -> None: ...


async def test_a_task_below_which_the_schedule_stands_is_refused(app: App) -> None:
    with pytest.raises(TypeError, match=r"write @app\.periodic above @app\.task"):

        @app.task("clean")
        @app.periodic("@daily")
        def clean_up() -> None: ...
