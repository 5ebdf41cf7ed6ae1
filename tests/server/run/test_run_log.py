"""Every end of a run is logged; a new kind of failure with its traceback."""

import asyncio
import logging
import traceback
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import (
    ActiveTask,
    App,
    Client,
    DeadlinePassedError,
    PayloadError,
    RetryIn,
    RevokeTask,
    Server,
    SkipRetry,
    Snooze,
    Task,
)
from pyasynq.server.run import run_log
from tests.server.handlers import Handler, actors_of, run_burst, wait_until_cancelled
from tests.support.clocks import ShiftedClock
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


async def run_failing(
    client: Client, redis_url: str, error: Exception, max_retry: int = 25
) -> None:
    """Run a task that fails with *error*."""
    await client.enqueue(Task("t", b"secret"), task_id="id", max_retry=max_retry)
    await run_burst(Server(redis_url, burst=True), Handler(error))


def log_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, bool]]:
    """Return level and text of the log lines about tasks, and whether they have a traceback."""
    return [
        (record.levelname, record.getMessage(), bool(record.exc_info))
        for record in caplog.records
        if record.getMessage().startswith("task ")
    ]


async def test_a_failed_run_is_logged_with_the_verdict_on_the_task(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_failing(client, redis_url, RetryIn(HOUR, "not\nyet"))
    text = "task id (t in 'default'), retried 0 of 25: not yet; retry in 3600 s"
    assert log_lines(caplog) == [("WARNING", text, False)]


async def test_a_task_that_is_given_up_is_an_error_with_its_traceback(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_failing(client, redis_url, KeyError("name"), max_retry=0)
    text = "task id (t in 'default'), retried 0 of 0: KeyError: 'name'; archived"
    assert log_lines(caplog) == [("ERROR", text, True)]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (SkipRetry("no such address"), "WARNING"),
        (ExceptionGroup("", [SkipRetry("no"), Snooze(HOUR)]), "WARNING"),
        (PayloadError("t", "no"), "ERROR"),
    ],
    ids=repr,
)
async def test_an_end_that_the_handler_chose_is_no_error(
    error: Exception, level: str, client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_failing(client, redis_url, error)
    assert [(shown, traced) for shown, _, traced in log_lines(caplog)] == [(level, False)]


@pytest.mark.parametrize(
    "signal", [SkipRetry("no"), RevokeTask("no"), RetryIn(HOUR, "no"), Snooze(HOUR)], ids=repr
)
async def test_a_failure_beside_a_signal_is_an_error_with_its_traceback(
    signal: Exception, client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_failing(client, redis_url, ExceptionGroup("", [signal, ValueError("a real bug")]))
    [(level, text, traced)] = log_lines(caplog)
    assert (level, traced) == ("ERROR", True)
    assert f"2 errors: ({type(signal).__name__}: {signal}), (ValueError: a real bug); " in text


@pytest.mark.parametrize("steer", [Snooze(HOUR), RevokeTask("over")], ids=["snooze", "revoke"])
async def test_a_signal_that_is_no_failure_is_only_logged_for_debugging(
    steer: Exception, client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_failing(client, redis_url, steer)
    assert log_lines(caplog) == []


async def test_the_payload_of_a_failed_task_is_not_logged(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await run_failing(client, redis_url, KeyError("name"), max_retry=0)
    assert "secret" not in caplog.text


# -- tracebacks ------------------------------------------------------------------------------------


class Failures:
    """A handler whose payload chooses the line and the class of its error."""

    async def __call__(self, task: ActiveTask) -> None:
        """Fail."""
        if task.payload == b"here":
            raise ValueError("here")
        if task.payload == b"of another class":
            raise KeyError("of another class")
        raise ValueError("there")


async def fail_with(client: Client, server: Server, *tasks: tuple[str, bytes]) -> None:
    """Run *tasks*, one after another."""
    await client.enqueue_many([Task(type, payload) for type, payload in tasks])
    await run_burst(server, Failures())


async def test_the_first_failure_of_a_kind_shows_its_traceback_and_the_others_one_line(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fail_with(client, Server(redis_url, burst=True), *[("t", b"here")] * 3)
    shown = [(level, traced) for level, _, traced in log_lines(caplog)]
    assert shown == [("ERROR", True), ("WARNING", False), ("WARNING", False)]
    assert 'raise ValueError("here")' in caplog.text


@pytest.mark.parametrize(
    "other", [("t", b"of another class"), ("t", b"there"), ("another type", b"here")]
)
async def test_a_failure_of_another_type_class_or_line_is_of_another_kind(
    other: tuple[str, bytes], client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fail_with(client, Server(redis_url, burst=True), ("t", b"here"), other)
    assert [level for level, *_ in log_lines(caplog)] == ["ERROR", "ERROR"]


async def test_a_kind_of_failure_is_new_again_after_an_hour(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ShiftedClock()
    async with Server(redis_url, clock=clock, lease=2 * HOUR).running(Failures()):
        await client.enqueue(Task("t"))
        await wait_until(lambda: len(log_lines(caplog)) == 1)
        clock.passed = HOUR + timedelta(seconds=1)
        await client.enqueue(Task("t"))
        await wait_until(lambda: len(log_lines(caplog)) == 2)
    assert [level for level, *_ in log_lines(caplog)] == ["ERROR", "ERROR"]


async def test_the_number_of_remembered_kinds_of_failures_is_limited(
    client: Client,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_log, "MOST_KINDS", 2)
    kinds = [(f"t{n}", b"") for n in (1, 2, 2, 3, 1, 3)]
    await fail_with(client, Server(redis_url, burst=True, concurrency=1), *kinds)
    levels = [level for level, *_ in log_lines(caplog)]
    assert levels == ["ERROR", "ERROR", "WARNING", "ERROR", "ERROR", "WARNING"]


async def test_all_failures_are_logged_with_their_traceback_for_debugging(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pyasynq.server")
    await fail_with(client, Server(redis_url, burst=True), *[("t", b"")] * 3)
    assert [traced for *_, traced in log_lines(caplog)] == [True] * 3


async def test_an_error_that_is_no_failure_is_logged_as_a_warning(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(redis_url, burst=True, is_failure=lambda _error: False)
    await fail_with(client, server, ("t", b""))
    assert [(level, traced) for level, _, traced in log_lines(caplog)] == [("WARNING", False)]


async def test_a_timeout_shows_where_the_handler_was(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), timeout=timedelta(seconds=1))

    async def wait_for_nothing(_task: ActiveTask) -> None:
        await asyncio.Event().wait()

    await run_burst(Server(redis_url, burst=True), wait_for_nothing)
    [(level, _, traced)] = log_lines(caplog)
    assert (level, traced) == ("ERROR", True)
    assert "await asyncio.Event().wait()" in caplog.text


async def test_an_error_in_a_group_shows_where_it_was_raised(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def child() -> None:
        raise ValueError("in a child")

    async def handle(_task: ActiveTask) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    await client.enqueue_many([Task("t"), Task("t")])
    await run_burst(Server(redis_url, burst=True), handle)
    assert [level for level, *_ in log_lines(caplog)] == ["ERROR", "WARNING"]
    assert 'raise ValueError("in a child")' in caplog.text


def traceback_functions(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the functions of the logged traceback, outermost first."""
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    return [frame.name for frame in traceback.extract_tb(record.exc_info[2])]


async def test_a_traceback_begins_where_the_users_code_does(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    async def handle(_task: ActiveTask) -> None:
        fail()

    server = Server(redis_url, burst=True, on_error=lambda _, error: errors.append(error))
    await client.enqueue(Task("t"))
    await run_burst(server, handle)
    assert traceback_functions(caplog) == ["handle", "fail"]
    assert len(traceback.extract_tb(errors[0].__traceback__)) > 2


async def test_a_traceback_of_a_plain_function_begins_where_it_does(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(_task: ActiveTask) -> None:
        fail()

    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), handle)
    assert traceback_functions(caplog) == ["handle", "fail"]


async def test_a_traceback_of_a_typed_task_begins_where_its_function_does(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(redis_url)

    @app.task("t")
    async def handle() -> None:
        fail()

    async with app:
        await handle.enqueue()
        await app.server(burst=True).run()
    assert traceback_functions(caplog) == ["handle", "fail"]


async def test_a_timeout_of_a_plain_function_has_no_traceback(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), timeout=timedelta(seconds=1))
    await run_burst(Server(redis_url, burst=True), wait_until_cancelled)
    assert [(level, traced) for level, _, traced in log_lines(caplog)] == [("ERROR", False)]


async def test_a_call_that_nobody_awaited_is_logged_in_one_line(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None: ...

    async def handle(_task: ActiveTask) -> object:
        return work()

    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), handle)
    assert [(level, traced) for level, _, traced in log_lines(caplog)] == [("ERROR", False)]


async def test_a_task_whose_deadline_had_passed_is_logged_in_one_line(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_failing(client, redis_url, DeadlinePassedError(datetime.now(UTC)))
    assert [(level, traced) for level, _, traced in log_lines(caplog)] == [("ERROR", False)]


def fail() -> None:
    """Raise an error."""
    raise ValueError("no")


# -- other ends ------------------------------------------------------------------------------------


async def test_a_success_is_logged_for_debugging(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pyasynq.server")
    await client.enqueue(Task("t", b"secret"), task_id="id")
    await run_burst(Server(redis_url, burst=True), Handler())
    [(level, text, _)] = log_lines(caplog)
    assert level == "DEBUG"
    assert text.startswith("task id (t in 'default') succeeded after 0.")


async def test_a_success_is_not_logged_by_default(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.server")
    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler())
    assert log_lines(caplog) == []


async def test_a_task_that_a_stop_puts_back_is_logged(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.server")
    await client.enqueue(Task("t"), task_id="id")
    handler = Handler(hold=True)
    async with Server(redis_url, shutdown_timeout=timedelta()).running(handler):
        await handler.wait_for_tasks()
    text = "task id (t in 'default') was interrupted; it is back in its queue"
    assert log_lines(caplog) == [("INFO", text, False)]


async def test_a_task_whose_lease_is_lost_is_logged_when_it_has_ended(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.server")
    await client.enqueue(Task("t"), task_id="id")
    handler, server = Handler(hold=True), Server(redis_url)
    async with server.running(handler):
        await handler.wait_for_tasks()
        runner = actors_of(server).runner
        runner.stop_lost([*runner.leases()])
        await wait_until(lambda: "another worker runs it" in caplog.text)
