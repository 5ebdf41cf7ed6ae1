"""`drain` runs what is due as a worker does, one task after another."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import pytest

from pyasynq import (
    ActiveTask,
    App,
    Client,
    HandlerNotFoundError,
    Inspector,
    Outcome,
    PayloadError,
    RetryIn,
    RevokeTask,
    SkipRetry,
    Snooze,
    Task,
    TaskState,
    TaskTimeoutError,
    TypedTask,
    current_task,
)
from pyasynq.server import AsyncHandler
from pyasynq.testing import Tasks, TooManyRunsError
from tests.support.codecs import Zlib
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
Welcome = TypedTask[..., str]


@pytest.fixture
def failing(pyasynq_app: App) -> TypedTask[[], None]:
    """Return a task that fails."""

    @pyasynq_app.task("failing", max_retry=2)
    async def failing() -> None:
        raise ValueError("boom")

    return failing


# -- what runs -------------------------------------------------------------------------------------


async def test_tasks_run_in_their_order_and_are_gone(
    tasks: Tasks, welcome: Welcome, greetings: list[str]
) -> None:
    await welcome.enqueue("bob")
    await welcome.enqueue("eve", locale="fr")
    done = await tasks.drain()
    assert greetings == ["bob (en)", "eve (fr)"]
    assert [(run.type, run.value) for run in done.runs] == [
        ("email:welcome", "welcome, bob"),
        ("email:welcome", "welcome, eve"),
    ]
    tasks.refute_enqueued()


async def test_the_heavier_queue_is_drained_first(tasks: Tasks, welcome: Welcome) -> None:
    for queue in ("another", "default", "critical"):
        await welcome.options(queue=queue).enqueue(queue)
    assert [run.queue for run in (await tasks.drain()).runs] == ["critical", "default", "another"]


async def test_a_queue_that_a_pattern_of_the_app_names_has_the_weight_of_the_pattern() -> None:
    app = App(NOWHERE, queues={"default": 1, "tenant-*": 5})
    note = app.task("note")(lambda: None)
    async with Tasks(app) as tasks:
        for queue in ("another", "default", "tenant-1"):
            await note.options(queue=queue).enqueue()
        ran = (await tasks.drain()).runs
    assert [run.queue for run in ran] == ["tenant-1", "default", "another"]


async def test_only_the_chosen_queues_are_drained(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.options(queue="a").enqueue("bob")
    await welcome.options(queue="b").enqueue("eve")
    assert [run.queue for run in (await tasks.drain(queues=["b"])).runs] == ["b"]
    tasks.assert_enqueued(welcome, queue="a")


async def test_a_paused_queue_keeps_its_tasks(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    async with Inspector(NOWHERE) as inspector:
        await inspector.pause("default")
    assert len(await tasks.drain()) == 0
    tasks.assert_enqueued(welcome)


async def test_what_a_task_enqueues_runs_too(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome
) -> None:
    @pyasynq_app.task("invite")
    async def invite(name: str) -> None:
        await welcome.enqueue(name)

    await invite.enqueue("bob")
    assert (await tasks.drain()).types == ["invite", "email:welcome"]


async def test_a_plain_function_runs_in_a_thread_and_may_enqueue(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome
) -> None:
    threads: list[threading.Thread] = []

    @pyasynq_app.task("plain")
    def plain() -> None:
        threads.append(threading.current_thread())
        asyncio.run(welcome.enqueue("bob"))

    await plain.enqueue()
    assert (await tasks.drain()).types == ["plain", "email:welcome"]
    assert threads[0] is not threading.main_thread()


async def test_a_run_has_its_active_task_middleware_and_lifespan(pyasynq_app: App) -> None:
    events: list[object] = []

    @pyasynq_app.lifespan
    async def lifespan(_app: App) -> AsyncGenerator[dict[str, Any]]:
        events.append("begin")
        yield {"database": "open"}
        events.append("end")

    @pyasynq_app.use
    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        events.append(f"before {task.type}")
        await call_next(task)

    @pyasynq_app.task("t", queue="critical", retention=HOUR)
    async def run(task: ActiveTask) -> str:
        assert task is current_task()
        events.append((task.queue, task.retried, pyasynq_app.state["database"]))
        return "result"

    async with Tasks(pyasynq_app) as tasks:
        info = await run.enqueue()
        await run.enqueue()
        await tasks.drain()
        assert await pyasynq_app.new_client().result(info) == b'"result"'
    inside = ["before t", ("critical", 0, "open")]
    assert events == ["begin", *inside, *inside, "end"]


async def test_another_lifespan_may_take_the_place_of_the_apps(
    pyasynq_app: App, welcome: Welcome
) -> None:
    @pyasynq_app.lifespan
    async def lifespan(_app: App) -> AsyncGenerator[None]:
        raise ValueError("no database here")
        yield

    class Nothing:
        async def __aenter__(self) -> None: ...
        async def __aexit__(self, *_: object) -> None: ...

    async with Tasks(pyasynq_app, lifespan=Nothing) as tasks:
        await welcome.enqueue("bob")
        assert len(await tasks.drain()) == 1


async def test_sealed_payloads_are_opened(greetings: list[str]) -> None:
    app = App(NOWHERE, codecs=[Zlib()])

    @app.task("t")
    async def note(name: str) -> None:
        greetings.append(name)

    async with Tasks(app) as tasks:
        await note.enqueue("bob")
        tasks.assert_enqueued(note, name="bob")
        [run] = (await tasks.drain()).runs
    assert (greetings, run.task.payload) == (["bob"], b'{"name":"bob"}')


@pytest.fixture
def combined() -> list[str]:
    """Return the texts that the task `mail` has sent."""
    return []


@pytest.fixture
def mail(pyasynq_app: App, combined: list[str]) -> TypedTask[[str], None]:
    """Return a task whose group is combined; the text ``bad`` cannot be combined."""

    @pyasynq_app.task("mail", group="bob")
    async def mail(text: str) -> None:
        combined.append(text)

    @pyasynq_app.aggregator
    def combine(_group: str, parts: list[Task]) -> Task:
        texts = [mail.arguments(part)["text"] for part in parts]
        if "bad" in texts:
            raise ValueError("a bad text")
        return Task("mail", mail.task(" ".join(texts)).payload)

    return mail


async def test_a_group_is_combined_once_its_time_has_come(
    pyasynq_app: App, mail: TypedTask[[str], None], combined: list[str]
) -> None:
    async with Tasks(pyasynq_app) as tasks:
        await mail.enqueue("one")
        await mail.enqueue("two")
        tasks.assert_enqueued(mail, group="bob", count=2)
        assert len(await tasks.drain()) == 0
        await tasks.advance(minutes=1)
        assert (await tasks.drain()).types == ["mail"]
    assert combined == ["one two"]


async def test_the_error_of_an_aggregator_is_raised(
    pyasynq_app: App, mail: TypedTask[[str], None]
) -> None:
    async with Tasks(pyasynq_app) as tasks:
        await mail.enqueue("bad")
        await tasks.advance(minutes=1)
        with pytest.raises(ValueError, match="a bad text"):
            await tasks.drain()
        await tasks.advance(hours=1)
        with pytest.raises(ValueError, match="a bad text"):
            await tasks.drain()


async def test_the_first_of_several_errors_of_an_aggregator_is_raised_and_none_is_left(
    pyasynq_app: App, mail: TypedTask[[str], None]
) -> None:
    async with Tasks(pyasynq_app) as tasks:
        await mail.options(group="bob").enqueue("bad")
        await mail.options(group="eve").enqueue("bad")
        await tasks.advance(minutes=1)
        with pytest.raises(ValueError, match="a bad text"):
            await tasks.drain()
        assert len(await tasks.drain()) == 0


# -- failures --------------------------------------------------------------------------------------


async def test_an_error_is_raised_and_the_task_waits_for_its_retry(
    tasks: Tasks, failing: TypedTask[[], None]
) -> None:
    await failing.enqueue()
    with pytest.raises(ValueError, match="boom") as error:
        await tasks.drain()
    assert "failing in 'default': ValueError: boom; retry" in error.value.__notes__[0]
    [info] = tasks.enqueued(failing, state=TaskState.RETRY)
    assert (info.retried, info.last_error) == (1, "ValueError: boom")


async def test_later_tasks_wait_after_an_error(
    tasks: Tasks, failing: TypedTask[[], None], welcome: Welcome
) -> None:
    await failing.enqueue()
    await welcome.enqueue("bob")
    with pytest.raises(ValueError, match="boom"):
        await tasks.drain()
    tasks.assert_enqueued(welcome)


async def test_without_raising_tasks_are_retried_until_they_are_archived(
    tasks: Tasks, failing: TypedTask[[], None], welcome: Welcome
) -> None:
    info = await failing.enqueue()
    await welcome.enqueue("bob")
    done = await tasks.drain(raises=False, travel=True)
    assert done.types == ["failing", "email:welcome", "failing", "failing"]
    assert [run.task.retried for run in done.failures] == [0, 1, 2]
    assert [run.state for run in done.failures] == ["retry", "retry", "archived"]
    async with Inspector(NOWHERE) as inspector:
        assert (await inspector.task_info("default", info.id)).state is TaskState.ARCHIVED


async def test_the_delay_before_a_retry_is_that_of_the_worker(
    pyasynq_app: App, failing: TypedTask[[], None]
) -> None:
    async with Tasks(pyasynq_app, retry_delay=lambda *_: HOUR) as tasks:
        await failing.enqueue()
        [run] = (await tasks.drain(raises=False)).runs
        assert run.next_process_at == tasks.now + HOUR
        await tasks.advance(minutes=59)
        assert len(await tasks.drain(raises=False)) == 0
        await tasks.advance(minutes=1)
        assert len(await tasks.drain(raises=False)) == 1


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        (SkipRetry("no such member"), TaskState.ARCHIVED),
        (RevokeTask(), None),
        (RetryIn(HOUR), TaskState.RETRY),
        (Snooze(HOUR), TaskState.RETRY),
    ],
)
async def test_signals_decide_about_a_task_and_are_not_raised(
    tasks: Tasks, pyasynq_app: App, signal: Exception, state: TaskState | None
) -> None:
    @pyasynq_app.task("t")
    async def decide() -> None:
        raise signal

    await decide.enqueue()
    [run] = (await tasks.drain()).runs
    assert (run.error, run.state) == (signal, state)


async def test_a_type_without_handler_is_named_with_the_nearest_one(
    tasks: Tasks, welcome: Welcome
) -> None:
    await other_client().enqueue(Task("email:welcom"))
    with pytest.raises(HandlerNotFoundError, match="email:welcom") as error:
        await tasks.drain()
    assert error.value.__notes__ == ["did you mean 'email:welcome'?"]


async def test_a_type_unlike_all_others_is_named_with_the_known_ones(
    tasks: Tasks, welcome: Welcome
) -> None:
    await other_client().enqueue(Task("x"))
    with pytest.raises(HandlerNotFoundError) as error:
        await tasks.drain()
    assert error.value.__notes__ == ["there are handlers for 'email:welcome'"]


async def test_a_payload_that_does_not_fit_is_an_error(tasks: Tasks, welcome: Welcome) -> None:
    await other_client().enqueue(Task("email:welcome", b'{"name":7}'))
    with pytest.raises(PayloadError, match="Expected `str`, got `int`"):
        await tasks.drain()


async def test_tasks_without_end_are_stopped_and_named(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("ping")
    async def ping() -> None:
        await ping.enqueue()

    await ping.enqueue()
    with pytest.raises(TooManyRunsError, match=r"7 tasks ran and more are due.*'ping' 7 times"):
        await tasks.drain(most=7)
    assert [run.type for run in tasks.ran] == ["ping"] * 7


async def test_a_task_that_snoozes_without_end_is_stopped(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("poll")
    async def poll() -> None:
        raise Snooze(HOUR)

    await poll.enqueue()
    with pytest.raises(TooManyRunsError, match="'poll' 5 times"):
        await tasks.drain(most=5, travel=True)


async def test_as_many_runs_as_allowed_are_no_error(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.enqueue("bob")
    await welcome.enqueue("eve")
    assert len(await tasks.drain(most=2)) == 2


# -- time ------------------------------------------------------------------------------------------


async def test_a_delayed_task_waits_for_its_time(tasks: Tasks, welcome: Welcome) -> None:
    await welcome.options(process_in=HOUR).enqueue("bob")
    await tasks.advance(minutes=59, seconds=59)
    assert len(await tasks.drain()) == 0
    await tasks.advance(seconds=1)
    assert len(await tasks.drain()) == 1


async def test_travelling_runs_delayed_tasks_each_at_its_time(
    tasks: Tasks, pyasynq_app: App
) -> None:
    times: list[datetime] = []

    @pyasynq_app.task("t")
    async def note() -> None:
        times.append(tasks.now)

    began = tasks.now
    for delay in (2 * HOUR, HOUR):
        await note.options(process_in=delay).enqueue()
    await tasks.drain(travel=True)
    assert times == [began + HOUR, began + 2 * HOUR]
    assert tasks.now == began + 2 * HOUR


async def test_a_handler_that_takes_longer_than_its_time_is_stopped(
    tasks: Tasks, pyasynq_app: App
) -> None:
    @pyasynq_app.task("t", timeout=HOUR)
    async def slow() -> None:
        await tasks.advance(HOUR)
        await asyncio.Event().wait()

    await slow.enqueue()
    with pytest.raises(TaskTimeoutError):
        await tasks.drain()
    tasks.assert_enqueued(slow, state=TaskState.RETRY)


async def test_a_handler_that_hangs_is_stopped_after_its_real_time(
    tasks: Tasks, pyasynq_app: App
) -> None:
    @pyasynq_app.task("t", timeout=SECOND)
    async def hang() -> None:
        await asyncio.Event().wait()

    began = tasks.now
    await hang.enqueue()
    with pytest.raises(TaskTimeoutError):
        await tasks.drain()
    assert tasks.now == began + SECOND


async def test_a_completed_task_is_deleted_after_its_retention(
    tasks: Tasks, welcome: Welcome
) -> None:
    info = await welcome.options(retention=HOUR).enqueue("bob")
    await tasks.drain()
    found = await tasks.broker.inspection.task("default", info.id)
    await tasks.advance(HOUR)
    assert found is not None
    assert await tasks.broker.inspection.task("default", info.id) is None


async def test_the_task_of_a_dead_worker_runs_again_after_its_lease(
    tasks: Tasks, welcome: Welcome
) -> None:
    await welcome.enqueue("bob")
    await tasks.broker.work.dequeue({"default": 1}, owner="dead/1", lease_s=30)
    assert len(await tasks.drain()) == 0
    await tasks.advance(seconds=30)
    [run] = (await tasks.drain()).runs
    assert run.task.retried == 1


async def test_a_cancelled_drain_puts_its_task_back(tasks: Tasks, pyasynq_app: App) -> None:
    began = asyncio.Event()

    @pyasynq_app.task("t")
    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    await hang.enqueue()
    draining = asyncio.ensure_future(tasks.drain())
    await began.wait()
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    tasks.assert_enqueued(hang, state="pending")


# -- what a drain returns --------------------------------------------------------------------------


async def test_a_drain_describes_its_runs(
    pyasynq_app: App, failing: TypedTask[[], None], welcome: Welcome
) -> None:
    now = datetime.fromisoformat("2026-03-04T12:00:00Z")
    async with Tasks(pyasynq_app, now=now, retry_delay=lambda *_: HOUR) as tasks:
        assert str(await tasks.drain()) == "nothing ran"
        await welcome.enqueue("bob")
        await failing.enqueue()
        assert str(await tasks.drain(raises=False)) == (
            "email:welcome in 'default': succeeded\n"
            "failing in 'default': ValueError: boom; retry, again at 2026-03-04 13:00:00"
        )


def other_client() -> Client:
    """Return a client that does not belong to the app."""
    return Client(NOWHERE)


# -- what follows ----------------------------------------------------------------------------------


async def test_tasks_that_follow_run_as_well_and_functions_are_called(
    tasks: Tasks, pyasynq_app: App
) -> None:
    notes: list[str] = []

    @pyasynq_app.task("receipt", queue="low")
    async def receipt(outcome: Outcome, /) -> None:
        notes.append(f"receipt for {outcome.id}")

    @pyasynq_app.task("pay", on_success=receipt)
    async def pay(task: ActiveTask) -> None:
        task.then(Task("receipt of nothing", queue="low"))

    @pyasynq_app.on("succeeded", "pay")
    def note(outcome: Outcome) -> None:
        notes.append(f"{outcome.id} is paid")

    info = await pay.enqueue()
    drained = await tasks.drain(raises=False)
    assert drained.types == ["pay", "receipt of nothing", "receipt"]
    assert notes == [f"{info.id} is paid", f"receipt for {info.id}"]


async def test_a_function_is_called_for_a_task_that_was_recovered(
    tasks: Tasks, pyasynq_app: App
) -> None:
    events: list[str] = []

    @pyasynq_app.task("t")
    async def work() -> None:
        pass

    @pyasynq_app.on("recovered")
    async def note(outcome: Outcome) -> None:
        events.append(outcome.type)

    await work.enqueue()
    broker = tasks._kit.memory.broker
    await broker.work.dequeue({"default": 1}, owner="dead/1", lease_s=1)
    await tasks.travel_to(tasks.now + HOUR)
    assert events == ["t"]
