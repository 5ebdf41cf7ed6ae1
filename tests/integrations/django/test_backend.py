"""The backend of Django's own tasks does what Django's documentation says, with real workers."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from asgiref.sync import sync_to_async
from django.core import checks
from django.db import transaction
from django.dispatch import Signal
from django.test import override_settings

import pyasynq
from pyasynq import BrokerError, Inspector
from pyasynq.integrations.django import app, outbox
from pyasynq.integrations.django.backend import PyasynqBackend
from pyasynq.integrations.django.task_api import (
    InvalidTaskBackendError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from tests.integrations.django.site.orders import jobs
from tests.integrations.django.site.orders.models import Order
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("database", "broker_url")

READY, SUCCESSFUL, FAILED = "READY", "SUCCESSFUL", "FAILED"

Result: TypeAlias = "TaskResult[Any]"


async def finished(result: Result) -> Result:
    """Return *result* once it is finished."""

    async def is_finished() -> bool:
        await result.arefresh()
        return result.is_finished

    await wait_until(is_finished)
    return result


# -- flags and validation --------------------------------------------------------------------------


def test_the_flags_say_what_it_can() -> None:
    backend = task_backends["default"]
    assert isinstance(backend, PyasynqBackend)
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert not backend.supports_priority


def a_module_function() -> None: ...


def a_local_function() -> Callable[[], None]:
    def local() -> None: ...

    return local


def a_function_without_context(word: str) -> None: ...


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"func": a_local_function()}, "module level"),
        ({"priority": 1}, "does not support setting priority"),
        ({"queue_name": "elsewhere"}, "'elsewhere' is not valid"),
        ({"func": a_function_without_context, "takes_context": True}, "first argument"),
        ({"run_after": datetime(2030, 1, 1)}, "aware datetime"),  # noqa: DTZ001
    ],
)
def test_a_task_that_it_cannot_run_is_refused(options: dict[str, Any], text: str) -> None:
    from tests.integrations.django.site.orders.jobs import task

    given = {"func": a_module_function, **options}
    with pytest.raises(Exception, match=text) as refusal:
        task(**given)(given["func"])
    assert type(refusal.value).__name__ in {"InvalidTask", "InvalidTaskError"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"enqueue": "later"}, "enqueue must be one of on_commit, at_once, outbox"),
        ({"max_retry": -1}, "max_retry must be"),
        ({"retention": 60}, "retention must be"),
        ({"retries": 3}, "unknown option 'retries'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidTaskBackendError, match=text):
        PyasynqBackend("default", {"OPTIONS": options})


def test_the_check_names_queues_that_no_worker_serves() -> None:
    backend = PyasynqBackend("default", {"QUEUES": ["default", "letters"]})
    (warning,) = backend.check()
    assert (warning.id, "'letters'" in str(warning.msg)) == ("pyasynq.W001", True)
    assert not [it for it in checks.run_checks() if it.id == "pyasynq.W001"]


# -- enqueue and aenqueue --------------------------------------------------------------------------


async def test_a_result_tells_what_was_enqueued() -> None:
    result = await jobs.add.aenqueue(1, b=2)
    assert (result.status, result.args, result.kwargs) == (READY, [1], {"b": 2})
    assert (result.task, result.backend, result.attempts) == (jobs.add, "default", 0)
    assert result.enqueued_at is not None
    assert result.enqueued_at.tzinfo is not None
    assert (result.started_at, result.finished_at, result.errors) == (None, None, [])
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value


@sync_to_async
def enqueue_in_a_block(task: Any, *, fail: bool = False) -> Result:  # noqa: ANN401
    with transaction.atomic():
        result: Result = task.enqueue(1)
        assert result.enqueued_at is None
        transaction.set_rollback(fail)
    return result


async def test_a_task_is_enqueued_after_the_commit() -> None:
    lost = await enqueue_in_a_block(jobs.add, fail=True)
    kept = await enqueue_in_a_block(jobs.add)
    assert kept.enqueued_at is not None
    await kept.arefresh()
    with pytest.raises(TaskResultDoesNotExist):
        await lost.arefresh()


async def test_or_at_once_if_the_settings_say_so() -> None:
    @sync_to_async
    def enqueue() -> tuple[Result, TaskResultStatus]:
        with transaction.atomic():
            result = jobs.fail_at_first.enqueue("oh")
            return result, jobs.fail_at_first.get_result(result.id).status

    assert (await enqueue())[1] == READY


async def test_or_by_the_outbox(worker: None) -> None:
    order = await Order.objects.acreate(customer="ann")
    result = await enqueue_in_a_block(jobs.confirm_from_outbox.using())
    with pytest.raises(TaskResultDoesNotExist):
        await result.arefresh()
    confirm = await jobs.confirm_from_outbox.aenqueue(order.pk)
    await sync_to_async(outbox.flush)()
    assert (await finished(confirm)).status == SUCCESSFUL
    assert await Order.objects.filter(confirmed=True).aexists()


async def test_arguments_that_are_no_json_are_refused() -> None:
    with pytest.raises(TypeError):
        await jobs.add.aenqueue(object())


async def test_a_task_runs_after_its_time(inspector: Inspector) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    result = await jobs.add.using(run_after=at).aenqueue(1)
    (waiting,) = await inspector.list_tasks("default", "scheduled")
    assert (waiting.id, waiting.next_process_at) == (result.id, at)
    again = await jobs.add.aget_result(result.id)
    assert (again.status, again.task.run_after) == (READY, at)


@override_settings(USE_TZ=False)
async def test_without_time_zones_instants_are_those_of_the_setting(worker: None) -> None:
    at = datetime.now()  # noqa: DTZ005
    result = await jobs.add.using(run_after=at).aenqueue(1)
    await finished(result)
    assert result.task.run_after == at
    times = [result.enqueued_at, result.started_at, result.finished_at]
    assert [time is not None and time.tzinfo for time in times] == [None] * 3


async def test_a_broker_that_is_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYASYNQ_URI", "redis://127.0.0.1:1")
    with pytest.raises(BrokerError):
        await jobs.add.aenqueue(1)
    with pytest.raises(BrokerError):
        await jobs.add.aget_result("any")


# -- runs and results ------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [jobs.add, jobs.aadd])
async def test_a_worker_runs_plain_and_async_functions(job: Any, worker: None) -> None:  # noqa: ANN401
    result = await finished(await job.aenqueue(1, b=2))
    assert (result.status, result.return_value, result.errors) == (SUCCESSFUL, 3, [])
    assert result.attempts == len(result.worker_ids) == 1
    times = [result.enqueued_at, result.started_at, result.finished_at]
    assert times == sorted(times, key=lambda it: it or datetime.max.replace(tzinfo=UTC))
    assert result.last_attempted_at == result.started_at


async def test_a_failed_task_tells_its_error(worker: None) -> None:
    result = await finished(await jobs.fail.aenqueue("oh"))
    assert result.status == FAILED
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.startswith("Traceback")
    assert error.traceback.endswith("ValueError: oh\n")
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


async def test_a_task_that_fails_is_ready_again_until_its_retries_are_spent(
    inspector: Inspector, worker: None
) -> None:
    result = await jobs.fail_at_first.aenqueue("oh")

    async def has_failed(times: int) -> bool:
        await result.arefresh()
        return len(result.errors) == times and result.status == READY

    await wait_until(lambda: has_failed(1))
    assert result.errors[0].exception_class is KeyError
    await inspector.run_task("default", result.id)
    await wait_until(lambda: has_failed(2))
    await finished(result)
    assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 2, 3)
    assert [it.exception_class for it in result.errors] == [KeyError, pyasynq.RetryIn]


async def test_a_timeout_is_an_error(worker: None) -> None:
    result = await finished(await jobs.hang.aenqueue())
    assert result.errors[0].exception_class is pyasynq.TaskTimeoutError


async def test_a_value_that_is_no_json_fails_the_task(worker: None) -> None:
    result = await finished(await jobs.return_what_is_no_json.aenqueue())
    assert (result.status, result.errors[0].exception_class) == (FAILED, TypeError)


async def test_a_function_may_take_the_context(worker: None) -> None:
    result = await finished(await jobs.tell.aenqueue("hi"))
    assert result.return_value == ["hi", result.id, 1, "RUNNING", "default"]


async def test_a_running_task_is_running(worker: None) -> None:
    result = await jobs.block.aenqueue(0.5)

    async def is_running() -> bool:
        await result.arefresh()
        return result.status == "RUNNING" and result.attempts == 1

    await wait_until(is_running)
    await finished(result)


async def test_results_are_found_without_a_loop_too() -> None:
    result = await jobs.aadd.aenqueue(1)
    found = await sync_to_async(jobs.aadd.get_result)(result.id)
    assert (found.id, found.task.queue_name) == (result.id, "mails")
    found = await sync_to_async(task_backends["default"].get_result)(result.id)
    assert found.task.func is jobs.aadd.func


async def test_a_result_of_another_task_is_refused() -> None:
    result = await jobs.add.aenqueue(1)
    with pytest.raises(Exception, match="Task does not match") as refusal:
        await jobs.fail.aget_result(result.id)
    assert type(refusal.value).__name__ == "TaskResultMismatch"


async def test_what_is_no_task_of_django_has_no_result() -> None:
    async with app:
        plain = await app.client.enqueue(pyasynq.Task("t"))
        gone = await app.client.enqueue(pyasynq.Task("django:nowhere.gone", b"{}"))
        broken = await app.client.enqueue(pyasynq.Task("django:" + jobs.add.module_path, b"[]"))
    for info in (plain, gone, broken):
        with pytest.raises(TaskResultDoesNotExist):
            await task_backends["default"].aget_result(info.id)


async def test_a_task_of_a_newer_version_waits_for_its_worker(
    inspector: Inspector, worker: None
) -> None:
    async with app:
        gone = await app.client.enqueue(pyasynq.Task("django:nowhere.gone", b"{}", max_retry=0))
        broken = await app.client.enqueue(
            pyasynq.Task("django:" + jobs.add.module_path, b"[]", max_retry=9)
        )

    async def states() -> list[str]:
        return [(await inspector.task_info("default", it.id)).state for it in (gone, broken)]

    await wait_until(lambda: states_are(states, ["retry", "archived"]))


async def states_are(states: Callable[[], Any], wanted: list[str]) -> bool:
    return list(await states()) == wanted


# -- signals ---------------------------------------------------------------------------------------


@contextmanager
def noted(*signals: Signal) -> Generator[list[tuple[str, str, object]]]:
    """Yield a list of what *signals* send: which one, the status, and the sender."""
    names = {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}
    heard: list[tuple[str, str, object]] = []

    def note(sender: object, signal: Signal, task_result: Result, **_: object) -> None:
        Order.objects.count()  # a receiver may use the database
        heard.append((names[signal], str(task_result.status), sender))

    for signal in signals:
        signal.connect(note)
    try:
        yield heard
    finally:
        for signal in signals:
            signal.disconnect(note)


@pytest.mark.parametrize(
    ("job", "args", "end"), [(jobs.add, [1], SUCCESSFUL), (jobs.fail, ["oh"], FAILED)]
)
async def test_signals_are_sent(job: Any, args: list[Any], end: str, worker: None) -> None:  # noqa: ANN401
    with noted(task_enqueued, task_started, task_finished) as heard:
        await finished(await job.aenqueue(*args))
        await wait_until(lambda: len(heard) == 3)
    assert [(name, status) for name, status, _ in sorted(heard)] == [
        ("enqueued", READY),
        ("finished", end),
        ("started", "RUNNING"),
    ]
    assert {sender for *_, sender in heard} == {PyasynqBackend}


async def test_a_rolled_back_task_sends_no_signal() -> None:
    with noted(task_enqueued) as heard:
        await enqueue_in_a_block(jobs.add, fail=True)
        await enqueue_in_a_block(jobs.add)
    assert len(heard) == 1


async def test_a_task_that_is_retried_has_not_finished(worker: None, inspector: Inspector) -> None:
    with noted(task_started, task_finished) as heard:
        result = await jobs.fail_at_first.aenqueue("oh")

        async def is_retried() -> bool:
            return (await inspector.queue_info("default")).retry == 1

        await wait_until(is_retried)
        assert [name for name, *_ in heard] == ["started"]
    assert (await jobs.fail_at_first.aget_result(result.id)).status == READY


async def test_a_receiver_that_fails_does_not_fail_the_task(worker: None) -> None:
    def fail(**_: object) -> None:
        raise KeyError

    task_started.connect(fail)
    try:
        assert (await finished(await jobs.add.aenqueue(1))).status == SUCCESSFUL
    finally:
        task_started.disconnect(fail)


async def test_the_payload_is_the_call(inspector: Inspector) -> None:
    result = await jobs.add.aenqueue(1, b=2)
    info = await inspector.task_info("default", result.id)
    assert json.loads(info.payload) == {"args": [1], "kwargs": {"b": 2}}
    assert info.max_retry == 0
    assert info.retention == timedelta(days=1)
