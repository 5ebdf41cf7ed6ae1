"""Tasks are taken and run, and Redis has the right outcome."""

import asyncio
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    BrokerUnavailableError,
    Client,
    DeadlinePassedError,
    Mux,
    RetryIn,
    RevokeTask,
    Server,
    SkipRetry,
    Snooze,
    Task,
    TaskInfo,
    TaskTimeoutError,
    current_task,
)
from pyasynq.broker import DequeueResult, Lease, open_broker
from pyasynq.core.verdict import Retry
from pyasynq.server.run import deadlines
from tests.server.handlers import Handler, actors_of, run_burst
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import Lapse, wait_until

HOUR = timedelta(hours=1)
GARBAGE = b"\xff\xff\xff"


class Odd(BaseException):
    """An error of a library that is no `Exception`: a pyo3 panic, for instance."""


class UnprintableError(Exception):
    def __str__(self) -> str:
        msg = "no text"
        raise RuntimeError(msg)


class Unspeakable(BaseException):
    def __repr__(self) -> str:
        msg = "no text"
        raise RuntimeError(msg)


class ExitingError(Exception):
    def __str__(self) -> str:
        raise SystemExit


# -- success ---------------------------------------------------------------------------------------


async def test_success_deletes_the_task(client: Client, redis_url: str, queue: QueueView) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler())
    assert not await queue.exists(info.id)
    assert await queue.ids("active") == await queue.leased_ids() == []


async def test_success_counts_as_processed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue_many([Task("t"), Task("t")])
    await run_burst(Server(redis_url, burst=True), Handler())
    assert (await queue.count("processed"), await queue.count("failed")) == (2, 0)


async def test_success_keeps_a_task_with_retention(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler())
    assert await queue.ids("completed") == [info.id]
    assert await queue.fields(info.id) == {"state": "completed"}


async def test_a_completed_task_is_kept_from_its_completion_for_its_retention(
    client: Client, redis_url: str, queue: QueueView, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler())
    completed_at = (await queue.message(info.id)).completed_at
    assert completed_at in lapse
    assert await queue.due_at(info.id) == pytest.approx(completed_at + 3600, abs=1)


async def test_success_releases_the_unique_lock(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("t"), unique=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler())
    assert await client.enqueue(Task("t"), unique=HOUR)


async def test_a_task_reaches_its_handler_as_it_was_made(client: Client, redis_url: str) -> None:
    await client.enqueue(
        Task("t", b"p", headers={"k": "v"}), task_id="x", max_retry=7, retention=HOUR
    )
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    [task] = handler.tasks
    assert (task.id, task.type, task.payload, task.headers) == ("x", "t", b"p", {"k": "v"})
    assert (task.queue, task.retried, task.max_retry) == ("default", 0, 7)


async def test_tasks_of_a_queue_begin_in_the_order_in_which_they_came(
    client: Client, redis_url: str
) -> None:
    infos = await client.enqueue_many([Task("t") for _ in range(300)])
    handler = Handler()
    await run_burst(Server(redis_url, burst=True, concurrency=7), handler)
    assert handler.ids == [info.id for info in infos if isinstance(info, TaskInfo)]


# -- failure ---------------------------------------------------------------------------------------


async def test_a_failure_waits_in_retry_with_its_reason(
    client: Client, redis_url: str, queue: RedisQueue, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(ValueError("boom")))
    message = await queue.message(info.id)
    assert await queue.ids("retry") == [info.id]
    fields = await queue.fields(info.id)
    assert (fields["state"], fields.keys()) == ("retry", {"state", "attempt:0"})
    assert (message.retried, message.error_msg) == (1, "ValueError: boom")
    assert message.last_failed_at in lapse


async def test_a_failure_counts_as_processed_and_failed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(ValueError("boom")))
    assert (await queue.count("processed"), await queue.count("failed")) == (1, 1)


async def test_a_failure_keeps_the_unique_lock(client: Client, redis_url: str, r: Redis) -> None:
    await client.enqueue(Task("t"), unique=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler(ValueError("boom")))
    assert await r.exists("asynq:{default}:unique:t:") == 1


async def test_the_first_retry_waits_15_to_44_seconds(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    before = time.time()
    await run_burst(Server(redis_url, burst=True), Handler(ValueError("boom")))
    due = await queue.due_at(info.id) or 0
    assert before + 15 <= due <= time.time() + 45


async def test_a_task_without_retries_left_is_archived(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    await run_burst(Server(redis_url, burst=True), Handler(ValueError("boom")))
    message = await queue.message(info.id)
    assert await queue.ids("archived") == [info.id]
    fields = await queue.fields(info.id)
    assert (fields["state"], fields.keys()) == ("archived", {"state", "attempt:0"})
    assert (message.retried, message.error_msg) == (0, "ValueError: boom")


async def test_a_task_runs_once_more_than_its_retries(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), max_retry=2)
    handler = Handler(ValueError("boom"))
    server = Server(redis_url, retry_delay=lambda _retried, _error, _task: timedelta())
    async with server.running(handler):
        await wait_until(lambda: queue.ids("archived"))
    assert [task.id for task in handler.tasks] == [handler.tasks[0].id] * 3


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(3), "RuntimeError: the handler called exit(3)"),
        (GeneratorExit("x"), "RuntimeError: the handler raised GeneratorExit('x')"),
        (ValueError(), "ValueError"),
        (ValueError("\udcff"), "ValueError: ?"),
        (ValueError("x" * 100_000), "ValueError: " + "x" * 8180),
        (StopIteration(), "RuntimeError: coroutine raised StopIteration"),
    ],
    ids=["exit", "generator exit", "no text", "no UTF-8", "too long", "stop"],
)
async def test_any_error_of_a_handler_is_written_as_text(
    error: BaseException, text: str, client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))

    async def fail(_task: ActiveTask) -> None:
        raise error

    await run_burst(Server(redis_url, burst=True), fail)
    assert (await queue.message(info.id)).error_msg == text


async def test_an_error_that_is_no_exception_is_a_failure_as_well(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(Odd("panic")))
    assert await queue.ids("retry") == [info.id]


async def test_an_error_that_cannot_be_printed_is_a_failure_as_well(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(UnprintableError()))
    assert await queue.ids("retry") == [info.id]


class Bare(RetryIn):
    """A signal whose author forgot to call the base class."""

    def __init__(self) -> None:
        pass


def nest(error: BaseException, levels: int) -> BaseException:
    """Return *error* in *levels* nested groups."""
    for _ in range(levels):
        error = BaseExceptionGroup("g", [error])
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (nest(ValueError("leaf"), 3000), "g: ValueError: leaf"),
        (nest(Odd("panic"), 3000), "g: RuntimeError: the handler raised Odd('panic')"),
        (Unspeakable(), "RuntimeError: the handler raised a Unspeakable"),
        (SystemExit(Unspeakable()), "RuntimeError: the handler called exit(a Unspeakable)"),
        (ExitingError(), "ExitingError: it cannot say what it is"),
        (
            Bare(),
            "RuntimeError: the handler raised a Bare that cannot be used: "
            "AttributeError: 'Bare' object has no attribute 'delay'",
        ),
    ],
    ids=["deep", "deep and odd", "no repr", "no code", "exits", "no delay"],
)
async def test_an_error_that_cannot_be_handled_frees_its_slot(
    error: BaseException, text: str, client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True, concurrency=1), Handler(error))
    assert await queue.ids("retry") == [info.id]
    assert (await queue.message(info.id)).error_msg == text


# -- signals ---------------------------------------------------------------------------------------


async def test_a_signal_in_a_task_group_means_what_it_means_alone(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))

    async def give_up() -> None:
        raise SkipRetry("550 no such address")

    async def handle(_task: ActiveTask) -> None:
        async with asyncio.TaskGroup() as outer:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(give_up())
            outer.create_task(asyncio.sleep(0))

    await run_burst(Server(redis_url, burst=True), handle)
    assert await queue.ids("archived") == [info.id]
    assert (await queue.message(info.id)).error_msg == "550 no such address"


async def test_a_signal_beside_what_is_no_exception_is_seen(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    group = BaseExceptionGroup("all", [Odd("panic"), BaseExceptionGroup("b", [SkipRetry("no")])])
    await run_burst(Server(redis_url, burst=True), Handler(group))
    assert await queue.ids("archived") == [info.id]
    text = "all: 2 errors: (RuntimeError: the handler raised Odd('panic')), (SkipRetry: no)"
    assert (await queue.message(info.id)).error_msg == text


async def test_a_handler_that_cancels_what_it_awaits_has_failed_by_itself(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))

    async def handle(_task: ActiveTask) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        await inner

    await run_burst(Server(redis_url, burst=True), handle)
    assert await queue.ids("retry") == [info.id]
    text = "RuntimeError: the handler raised CancelledError, though nobody stopped it"
    assert (await queue.message(info.id)).error_msg == text


async def test_a_cancelled_future_in_a_plain_handler_is_its_own_failure(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))

    def handle(_task: ActiveTask) -> None:
        future: Future[None] = Future()
        future.cancel()
        future.result()

    await run_burst(Server(redis_url, burst=True), handle)
    text = "RuntimeError: the handler raised CancelledError, though nobody stopped it"
    assert (await queue.message(info.id)).error_msg == text


async def test_a_group_of_cancellations_is_a_stop_if_the_handler_was_cancelled(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1))

    async def handle(_task: ActiveTask) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise BaseExceptionGroup("all", [error]) from None

    await run_burst(Server(redis_url, burst=True), handle)
    assert (await queue.message(info.id)).error_msg == "context deadline exceeded"


async def test_skip_retry_archives_at_once(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(SkipRetry("bad input")))
    assert await queue.ids("archived") == [info.id]
    assert (await queue.message(info.id)).error_msg == "bad input"
    assert await queue.count("failed") == 1


async def test_revoke_task_drops_the_task(client: Client, redis_url: str, queue: QueueView) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler(RevokeTask("not needed")))
    assert not await queue.exists(info.id)
    assert (await queue.count("processed"), await queue.count("failed")) == (1, 0)


async def test_retry_in_spends_a_retry_and_waits_for_its_delay(
    client: Client, redis_url: str, queue: QueueView, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(RetryIn(HOUR, "busy")))
    message = await queue.message(info.id)
    assert (message.retried, message.error_msg) == (1, "busy")
    assert (await queue.due_at(info.id) or 0) - 3600 in lapse


async def test_retry_in_does_not_go_past_the_limit(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    await run_burst(Server(redis_url, burst=True), Handler(RetryIn(HOUR)))
    assert await queue.ids("archived") == [info.id]


async def test_a_delay_beyond_the_calendar_does_not_leave_the_task_hanging(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), Handler(RetryIn(timedelta.max)))
    assert await queue.ids("retry") == [info.id]


async def test_snooze_spends_no_retry_and_is_not_counted(
    client: Client, redis_url: str, queue: QueueView, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    await run_burst(Server(redis_url, burst=True), Handler(Snooze(HOUR)))
    message = await queue.message(info.id)
    assert (await queue.due_at(info.id) or 0) - 3600 in lapse
    assert (message.retried, message.error_msg) == (0, "")
    assert (await queue.count("processed"), await queue.count("failed")) == (0, 0)


# -- the user's callbacks --------------------------------------------------------------------------


async def test_retry_delay_is_asked_with_what_it_needs(
    client: Client, redis_url: str, queue: QueueView, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t", b"p", headers={"k": "v"}))
    asked: list[object] = []

    def delay(retried: int, error: Exception, task: Task) -> timedelta:
        asked.extend((retried, str(error), task.type, task.payload, task.headers))
        return HOUR

    await run_burst(Server(redis_url, burst=True, retry_delay=delay), Handler(ValueError("boom")))
    assert asked == [0, "boom", "t", b"p", {"k": "v"}]
    assert (await queue.due_at(info.id) or 0) - 3600 in lapse


async def test_a_retry_delay_that_raises_is_logged_and_answered_by_the_default(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))
    before = time.time()

    def delay(_retried: int, _error: Exception, _task: Task) -> timedelta:
        raise KeyError

    await run_burst(Server(redis_url, burst=True, retry_delay=delay), Handler(ValueError("boom")))
    due = await queue.due_at(info.id) or 0
    assert before + 15 <= due <= time.time() + 45
    assert "retry_delay failed" in caplog.text


async def test_a_retry_delay_that_is_no_timedelta_is_answered_by_the_default(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    before = time.time()
    server = Server(redis_url, burst=True, retry_delay=lambda _retried, _error, _task: 5)  # type: ignore[arg-type,return-value]
    await run_burst(server, Handler(ValueError("boom")))
    due = await queue.due_at(info.id) or 0
    assert before + 15 <= due <= time.time() + 45


async def test_an_error_that_is_no_failure_spends_no_retry_and_is_not_counted(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    server = Server(redis_url, burst=True, is_failure=lambda error: str(error) != "busy")
    await run_burst(server, Handler(ValueError("busy")))
    message = await queue.message(info.id)
    assert (message.retried, message.error_msg) == (0, "ValueError: busy")
    assert (await queue.count("processed"), await queue.count("failed")) == (0, 0)


async def test_an_exhausted_task_is_archived_whatever_is_failure_says(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    server = Server(redis_url, burst=True, is_failure=lambda _error: False)
    await run_burst(server, Handler(ValueError("busy")))
    assert await queue.ids("archived") == [info.id]


async def test_an_is_failure_that_raises_is_logged_and_counts_as_true(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))

    def is_failure(_error: Exception) -> bool:
        raise KeyError

    server = Server(redis_url, burst=True, is_failure=is_failure)
    await run_burst(server, Handler(ValueError("boom")))
    assert (await queue.message(info.id)).retried == 1
    assert "is_failure failed" in caplog.text


async def test_an_is_failure_without_a_truth_value_is_logged_and_counts_as_true(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    class Unsure:
        def __bool__(self) -> bool:
            raise ValueError

    await client.enqueue(Task("t"))
    server = Server(redis_url, burst=True, is_failure=lambda _error: Unsure())  # type: ignore[arg-type, return-value]
    await run_burst(server, Handler(ValueError("boom")))
    assert await queue.count("failed") == 1
    assert "is_failure failed" in caplog.text


async def test_on_error_is_called_before_the_outcome_is_written(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    calls: list[object] = []

    async def on_error(task: ActiveTask, error: Exception) -> None:
        calls.extend((task.id, str(error), await queue.state_of(task.id)))

    await run_burst(Server(redis_url, burst=True, on_error=on_error), Handler(ValueError("boom")))
    assert calls == [info.id, "boom", "active"]


async def test_on_error_may_be_a_plain_function(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("t"))
    calls: list[str] = []
    server = Server(redis_url, burst=True, on_error=lambda _task, error: calls.append(str(error)))
    await run_burst(server, Handler(SkipRetry("no")))
    assert calls == ["no"]


async def test_on_error_is_not_called_after_success(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("t"))
    calls: list[str] = []
    server = Server(redis_url, burst=True, on_error=lambda _task, error: calls.append(str(error)))
    await run_burst(server, Handler())
    assert calls == []


async def test_an_on_error_that_raises_is_logged_and_the_outcome_is_written(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))

    async def on_error(_task: ActiveTask, _error: Exception) -> None:
        raise KeyError

    await run_burst(Server(redis_url, burst=True, on_error=on_error), Handler(ValueError("boom")))
    assert await queue.ids("retry") == [info.id]
    assert f"on_error failed for <ActiveTask 't' {info.id} in 'default'>" in caplog.text


async def test_an_on_error_that_is_slow_to_stop_is_not_taken_for_its_handler(
    client: Client,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(deadlines, "STOP_GRACE_S", 0.0)
    await client.enqueue(Task("t"), timeout=timedelta(seconds=1), max_retry=0)

    async def on_error(_task: ActiveTask, _error: Exception) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)

    await run_burst(Server(redis_url, burst=True, on_error=on_error), Handler(ValueError("boom")))
    assert "overdue handlers hold" not in caplog.text


async def test_an_on_error_that_raises_after_a_timeout_frees_its_slot(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1), max_retry=0)

    async def on_error(_task: ActiveTask, _error: Exception) -> None:
        raise ValueError

    await run_burst(Server(redis_url, burst=True, on_error=on_error), Handler(hold=True))
    assert await queue.ids("archived") == [info.id]


async def test_an_on_error_that_raises_when_it_is_cancelled_frees_its_slot(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1), max_retry=0)

    async def on_error(_task: ActiveTask, _error: Exception) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError from None

    await run_burst(Server(redis_url, burst=True, on_error=on_error), Handler(ValueError("boom")))
    assert await queue.ids("archived") == [info.id]


async def test_a_failure_whose_on_error_is_stopped_with_the_server_counts_once(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    began = asyncio.Event()

    async def on_error(_task: ActiveTask, _error: Exception) -> None:
        began.set()
        await asyncio.Event().wait()

    server = Server(redis_url, shutdown_timeout=timedelta(), on_error=on_error)
    async with server.running(Handler(ValueError("boom"))):
        await began.wait()
    assert await queue.ids("retry") == [info.id]
    assert (await queue.message(info.id)).retried == 1


async def test_a_failure_whose_lease_is_lost_during_on_error_is_left_to_others(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    began = asyncio.Event()

    async def on_error(_task: ActiveTask, _error: Exception) -> None:
        began.set()
        await asyncio.Event().wait()

    server = Server(redis_url, on_error=on_error)
    async with server.running(Handler(ValueError("boom"))):
        await began.wait()
        runner = actors_of(server).runner
        runner.stop_lost(list(runner.leases()))
        await runner.wait_until_finished()
    assert await queue.ids("retry") == []


async def test_an_error_that_escapes_from_a_run_is_logged_and_frees_its_slot(
    client: Client,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def escape(*_: object) -> None:
        raise GeneratorExit

    server = Server(redis_url, concurrency=1)
    handler = Handler(ValueError("boom"), hold=True)
    async with server.running(handler):
        runner = actors_of(server).runner
        monkeypatch.setattr(runner, "_report", escape)
        info = await client.enqueue(Task("t"))
        await handler.wait_for_tasks()
        handler.release()
        await runner.wait_until_finished()
        assert runner.slots.free == 1
    assert f"task {info.id} (t in 'default') is dropped until its lease ends" in caplog.text


async def test_a_plain_on_error_has_its_task_and_does_not_block_other_handlers(
    client: Client, redis_url: str
) -> None:
    await client.enqueue_many([Task("fails"), Task("goes on")])
    went_on = threading.Event()
    calls: list[tuple[object, bool]] = []

    def on_error(task: ActiveTask, _error: Exception) -> None:
        calls.append((current_task(), went_on.wait(10)))

    async def handle(task: ActiveTask) -> None:
        if task.type == "fails":
            raise ValueError
        went_on.set()

    await run_burst(Server(redis_url, burst=True, on_error=on_error, concurrency=2), handle)
    assert [(repr(task)[:20], on) for task, on in calls] == [("<ActiveTask 'fails' ", True)]


async def test_handlers_that_hold_all_threads_do_not_delay_on_error(
    client: Client, redis_url: str
) -> None:
    await client.enqueue_many([Task("holds"), Task("fails")])
    called, results = threading.Event(), list[bool]()

    async def fail(_task: ActiveTask) -> None:
        raise ValueError

    mux = Mux()
    mux.handle("holds")(lambda _task: results.append(called.wait(10)))
    mux.handle("fails")(fail)
    server = Server(redis_url, burst=True, concurrency=2, on_error=lambda *_: called.set())
    await run_burst(server, mux)
    assert results == [True]


async def test_an_on_error_that_outlives_the_time_of_its_task_is_named(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1))

    async def on_error(*_: object) -> None:
        await asyncio.Event().wait()

    await run_burst(Server(redis_url, burst=True, on_error=on_error), Handler(ValueError("boom")))
    assert f"on_error has not ended in time for task {info.id}" in caplog.text
    assert (await queue.message(info.id)).error_msg == "ValueError: boom"


# -- time limits -----------------------------------------------------------------------------------


async def test_a_handler_is_stopped_at_its_timeout(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1))
    handler = Handler(hold=True)
    await run_burst(Server(redis_url, burst=True), handler)
    assert handler.cancelled == [info.id]
    assert (await queue.message(info.id)).error_msg == "context deadline exceeded"
    assert await queue.ids("retry") == [info.id]


async def test_a_handler_is_stopped_at_the_deadline_if_that_comes_first(
    client: Client, redis_url: str
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=2)
    info = await client.enqueue(Task("t"), timeout=HOUR, deadline=deadline)
    handler = Handler(hold=True)
    await run_burst(Server(redis_url, burst=True), handler)
    assert handler.cancelled == [info.id]


async def test_a_handler_sees_when_it_will_be_stopped(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("t"), timeout=HOUR)
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    left = handler.tasks[0].deadline - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= HOUR


async def test_a_task_past_its_deadline_is_archived_without_a_call_of_its_handler(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), deadline=datetime.now(UTC) - HOUR)
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    assert handler.tasks == []
    assert await queue.ids("archived") == [info.id]
    message = await queue.message(info.id)
    assert message.retried == 0
    assert message.error_msg.startswith("context deadline exceeded before the task began")


async def test_a_deadline_that_passes_while_the_handler_runs_is_retried(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=1.5)
    info = await client.enqueue(Task("t"), deadline=deadline)
    await run_burst(Server(redis_url, burst=True), Handler(hold=True))
    assert await queue.ids("retry") == [info.id]


async def test_on_error_sees_a_deadline_that_has_passed_as_a_timeout(
    client: Client, redis_url: str
) -> None:
    deadline = datetime.now(UTC).replace(microsecond=0) - HOUR
    await client.enqueue(Task("t"), deadline=deadline)
    seen: list[Exception] = []
    server = Server(redis_url, burst=True, on_error=lambda _task, error: seen.append(error))
    await run_burst(server, Handler())
    assert [type(error) for error in seen] == [DeadlinePassedError]
    assert isinstance(seen[0], TaskTimeoutError)
    assert getattr(seen[0], "deadline", None) == deadline


async def test_a_success_counts_although_a_stop_came_before(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1), retention=HOUR)

    async def finish(_task: ActiveTask) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    await run_burst(Server(redis_url, burst=True), finish)
    assert await queue.ids("completed") == [info.id]


async def test_an_error_raised_while_being_stopped_is_the_reason_that_is_kept(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=timedelta(seconds=1))

    async def fail(_task: ActiveTask) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise SkipRetry("half done") from error

    await run_burst(Server(redis_url, burst=True), fail)
    assert (await queue.message(info.id)).error_msg == "half done"


# -- which tasks are taken -------------------------------------------------------------------------


async def test_no_more_tasks_run_at_once_than_allowed(client: Client, redis_url: str) -> None:
    await client.enqueue_many([Task("t") for _ in range(20)])
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=3).running(handler):
        await handler.wait_for_tasks(3)
        handler.release()
        await handler.wait_for_tasks(20)
    assert handler.max_running == 3


async def test_no_task_is_taken_that_cannot_run(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue_many([Task("t") for _ in range(20)])
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=3).running(handler):
        await handler.wait_for_tasks(3)
        assert (len(await queue.ids("active")), len(await queue.pending_ids())) == (3, 17)
        handler.release()


async def test_a_handler_that_ignores_its_stop_keeps_its_slot(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="stubborn", timeout=timedelta(seconds=1))
    await client.enqueue(Task("t"), task_id="next")
    released, cancelled = asyncio.Event(), asyncio.Event()
    began: list[str] = []

    async def handle(task: ActiveTask) -> None:
        began.append(task.id)
        try:
            await released.wait()
        except asyncio.CancelledError:
            cancelled.set()
            await released.wait()

    async with Server(redis_url, concurrency=1).running(handle):
        await cancelled.wait()
        assert (began, await queue.pending_ids()) == (["stubborn"], ["next"])
        released.set()
        await wait_until(lambda: began == ["stubborn", "next"])


async def test_queues_share_in_proportion_to_their_weights(client: Client, redis_url: str) -> None:
    random.seed(20)
    weights = {"critical": 6, "default": 3, "low": 1}
    await client.enqueue_many([Task("t", queue=queue) for queue in weights for _ in range(1000)])
    handler = Handler()
    async with Server(redis_url, concurrency=10, queues=weights).running(handler):
        await handler.wait_for_tasks(500)
    share = Counter(task.queue for task in handler.tasks[:500])
    assert share["critical"] == pytest.approx(300, abs=60)
    assert share["default"] == pytest.approx(150, abs=50)
    assert share["low"] == pytest.approx(50, abs=35)


async def test_slots_that_one_queue_cannot_fill_go_to_the_others(
    client: Client, redis_url: str
) -> None:
    await client.enqueue_many([Task("t") for _ in range(10)], queue="low")
    handler = Handler(hold=True)
    weights = {"critical": 1000, "low": 1}
    async with Server(redis_url, concurrency=10, queues=weights).running(handler):
        await handler.wait_for_tasks(10)
        handler.release()


async def test_strict_priority_never_takes_a_low_task_before_a_high_one(
    client: Client, redis_url: str
) -> None:
    weights = {"low": 1, "high": 2}
    await client.enqueue_many([Task("t", queue=queue) for queue in weights for _ in range(200)])
    handler = Handler()
    server = Server(redis_url, burst=True, concurrency=7, queues=weights, strict_priority=True)
    await run_burst(server, handler)
    assert [task.queue for task in handler.tasks] == ["high"] * 200 + ["low"] * 200


async def test_a_paused_queue_gives_nothing_and_does_not_stop_the_others(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await queue.pause()
    held = await client.enqueue(Task("t"))
    info = await client.enqueue(Task("t"), queue="other")
    handler = Handler()
    await run_burst(Server(redis_url, burst=True, queues={"default": 9, "other": 1}), handler)
    assert handler.ids == [info.id]
    assert await queue.pending_ids() == [held.id]


async def test_a_queue_that_is_paused_while_the_server_runs_gives_nothing_more(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=1).running(handler) as server:
        await client.enqueue_many([Task("t"), Task("t")])
        await handler.wait_for_tasks()
        await queue.pause()
        handler.release()
        await actors_of(server).processor.steps.next()
        await actors_of(server).processor.steps.next()
    assert (len(handler.tasks), len(await queue.pending_ids())) == (1, 1)


async def test_an_unpaused_queue_is_served(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await queue.pause()
    await client.enqueue(Task("t"))
    handler = Handler()
    async with Server(redis_url).running(handler) as server:
        await actors_of(server).processor.steps.next()
        await queue.resume()
        await handler.wait_for_tasks()


# -- poison ----------------------------------------------------------------------------------------


async def test_poison_is_archived_as_it_is_and_the_others_run(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    await queue.put_poison(b"bad", GARBAGE)
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    assert handler.ids == [info.id]
    assert await queue.ids("archived") == ["bad"]
    assert await r.hgetall(queue.key("t:bad")) == {b"msg": GARBAGE, b"state": b"archived"}


async def test_poison_is_named_in_the_log(
    redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.put_poison(b"bad", GARBAGE)
    await run_burst(Server(redis_url, burst=True), Handler())
    assert re.search("task .?bad.? in 'default' is not readable", caplog.text)


async def test_poison_whose_id_is_no_text_is_archived_and_the_others_run(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await queue.put_poison(b"\xff\xfe", GARBAGE)
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
        await wait_until(lambda: queue.ids("archived"))
    assert handler.ids == [info.id]


async def test_a_message_filed_under_another_id_is_poison(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    message = (await queue.message(info.id)).SerializeToString()
    await queue.put_poison(b"other", message)
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    assert handler.ids == [info.id]
    assert await queue.ids("archived") == ["other"]


async def test_ids_without_a_task_are_dropped_and_the_others_run(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))
    await queue.put_poison(b"missing", None)
    handler = Handler()
    await run_burst(Server(redis_url, burst=True, concurrency=1), handler)
    assert handler.ids == [info.id]
    assert await queue.ids("active") == await queue.pending_ids() == []
    assert "dropped 1 ids in 'default'" in caplog.text


# -- tasks that crashed their workers --------------------------------------------------------------


async def enqueue_crashed(client: Client, redis_url: str, crashes: int, *ids: str) -> None:
    """Enqueue tasks that have crashed their workers *crashes* times."""
    await client.enqueue_many([Task("t", task_id=task_id) for task_id in ids], max_retry=5)
    broker = open_broker(redis_url)
    [taken] = await broker.work.dequeue({"default": len(ids)}, owner="dead/1", lease_s=30)
    at = datetime(2001, 9, 9, tzinfo=UTC)
    await broker.work.settle(
        [
            (lease, Retry(message=lease.message, at=at, failed=False, crashes=crashes))
            for lease in taken.leases
        ]
    )
    await broker.upkeep.forward("default")
    await broker.aclose()


async def test_tasks_that_the_next_crash_archives_run_one_at_a_time(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    await enqueue_crashed(client, redis_url, 2, "a", "b")
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=10).running(handler):
        await handler.wait_for_tasks()
        await wait_until(lambda: queue.ids("retry"))
        waiting = await queue.fields("b")
        handler.release()
        await handler.wait_for_tasks(2)
    assert waiting == {"state": "retry", "owner": "", "crashes": "2", "past_retried": "0"}
    assert (handler.ids, handler.max_running) == (["a", "b"], 1)
    assert [task.retried for task in handler.tasks] == [0, 0]


async def test_a_postponed_task_keeps_the_time_since_which_its_type_is_unknown(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    await enqueue_crashed(client, redis_url, 2, "a", "b")
    await r.hset(queue.key("t:b"), "unknown_since", "1000000000")
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=10).running(handler):
        await handler.wait_for_tasks()
        await wait_until(lambda: queue.ids("retry"))
        waiting = await queue.fields("b")
        handler.release()
    assert waiting["unknown_since"] == "1000000000"


async def test_a_task_that_the_next_crash_archives_runs_beside_other_tasks(
    client: Client, redis_url: str
) -> None:
    await enqueue_crashed(client, redis_url, 2, "a")
    await enqueue_crashed(client, redis_url, 1, "b")
    await client.enqueue(Task("t", task_id="c"))
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=10).running(handler):
        await handler.wait_for_tasks(3)
        handler.release()
    assert handler.max_running == 3


async def test_a_crashed_task_that_cannot_be_marked_as_started_goes_back(
    client: Client, redis_url: str, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_crashed(client, redis_url, 1, "a")
    server = Server(redis_url)
    port = server._broker.work
    mark_started = port.mark_started

    async def fail(_lease: Lease) -> bool:
        monkeypatch.setattr(port, "mark_started", mark_started)
        msg = "cut off"
        raise BrokerUnavailableError(msg)

    monkeypatch.setattr(port, "mark_started", fail)
    handler = Handler(hold=True)
    async with server.running(handler):
        [task] = await handler.wait_for_tasks()
        fields = await queue.fields("a")
        handler.release()
    assert (task.retried, fields["crashes"]) == (0, "1")


async def test_a_crashed_task_that_another_worker_has_taken_is_not_run(
    client: Client, redis_url: str, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_crashed(client, redis_url, 1, "a")
    server = Server(redis_url)
    port = server._broker.work
    mark_started = port.mark_started

    async def too_late(lease: Lease) -> bool:
        await queue.take_over("a")
        return await mark_started(lease)

    monkeypatch.setattr(port, "mark_started", too_late)
    handler = Handler()
    async with server.running(handler):
        await wait_until(lambda: queue.ids("active"))
        await actors_of(server).processor.wait_until_finished()
    assert handler.tasks == []
    assert (await queue.fields("a"))["state"] == "active"


# -- two queues ------------------------------------------------------------------------------------


async def test_the_same_id_in_two_queues_is_two_tasks(
    client: Client, redis_url: str, r: Redis
) -> None:
    queues = {"one": 1, "two": 1}
    await client.enqueue(Task("t"), task_id="x", queue="one")
    await client.enqueue(Task("t"), task_id="x", queue="two", retention=HOUR)
    handler = Handler()
    await run_burst(Server(redis_url, burst=True, concurrency=2, queues=queues), handler)
    assert {task.queue for task in handler.tasks} == {"one", "two"}
    assert not await RedisQueue(r, "one").exists("x")
    assert await RedisQueue(r, "two").ids("completed") == ["x"]


# -- burst -----------------------------------------------------------------------------------------


async def test_a_burst_ends_when_the_queues_are_empty(client: Client, redis_url: str) -> None:
    await client.enqueue_many([Task("t") for _ in range(300)])
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    assert len(handler.tasks) == 300


async def test_a_burst_ends_at_once_on_empty_queues(redis_url: str) -> None:
    await run_burst(Server(redis_url, burst=True), Handler())


async def test_a_burst_also_runs_what_its_tasks_enqueue(client: Client, redis_url: str) -> None:
    to_come = ["t"] * 50
    await client.enqueue(Task("t"))

    async def handle(_task: ActiveTask) -> None:
        await client.enqueue(Task(to_come.pop()))

    await run_burst(Server(redis_url, burst=True), handle)
    assert to_come == []


# -- queues that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["pending", "active", "lease", "scheduled", "completed"])
async def test_a_broken_queue_does_not_stop_the_others(
    key: str,
    client: Client,
    redis_url: str,
    r: Redis,
) -> None:
    await r.hset(RedisQueue(r, "bad").key(key), "a key", "of a wrong type")
    await client.enqueue_many([Task("t") for _ in range(100)], queue="good")
    await client.enqueue(Task("t"), queue="good", process_in=timedelta(seconds=1))
    handler = Handler()
    server = Server(redis_url, queues={"bad": 5, "good": 1}, strict_priority=True)
    async with server.running(handler):
        await handler.wait_for_tasks(101)
        await wait_until(lambda: not list(actors_of(server).completer.leases()))
    await r.delete(RedisQueue(r, "bad").key(key))


async def test_a_cancellation_that_nobody_requested_does_not_stop_the_processor(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.enqueue(Task("t"))
    handler, server = Handler(), Server(redis_url)
    port = server._broker.work
    dequeue = port.dequeue

    async def be_cancelled(_counts: object, **_: object) -> list[DequeueResult]:
        monkeypatch.setattr(port, "dequeue", dequeue)
        raise asyncio.CancelledError

    monkeypatch.setattr(port, "dequeue", be_cancelled)
    async with server.running(handler):
        await handler.wait_for_tasks()


async def test_tasks_of_a_lost_dequeue_run_without_spending_a_retry(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = await client.enqueue_many([Task("t") for _ in range(3)], max_retry=0)
    handler = Handler()
    server = Server(redis_url, concurrency=10)
    port = server._broker.work
    dequeue = port.dequeue

    async def lose_the_answer(
        counts: dict[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        monkeypatch.setattr(port, "dequeue", dequeue)
        error = BrokerUnavailableError("cut off")
        return [
            DequeueResult(queue=taken.queue, owner=taken.owner, error=error)
            for taken in await dequeue(counts, owner=owner, lease_s=lease_s)
        ]

    monkeypatch.setattr(port, "dequeue", lose_the_answer)
    async with server.running(handler):
        await handler.wait_for_tasks(3)
    assert [task.retried for task in handler.tasks] == [0, 0, 0]
    assert handler.ids == [info.id for info in infos if isinstance(info, TaskInfo)]
