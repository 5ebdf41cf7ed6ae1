"""The task of a tick passes client middleware and codecs."""

import logging
from collections.abc import Callable, Sequence

import pytest

from pyasynq import (
    BrokerUnavailableError,
    CallNext,
    Inspector,
    MiddlewareError,
    NotEnqueuedError,
    Options,
    PeriodicTask,
    PeriodicTaskManager,
    PyasynqError,
    Scheduler,
    Task,
    TaskInfo,
)
from pyasynq.broker import Created, NewTask
from pyasynq.core.codec import HEADER
from tests.scheduler.steps import advance_and_step, heartbeater_of, ticker_of
from tests.support.clocks import SteeredClock
from tests.support.codecs import Envelope, Zlib
from tests.support.queue_view import QueueView
from tests.support.waiting import wait_until

Make = Callable[..., Scheduler]
TASK = Task("t", b"card 1234", headers={"own": "1"})


class RecordingMiddleware:
    """Client middleware that records tasks, infos and errors, and raises what the test gave."""

    def __init__(self, before: BaseException | None = None, after: Exception | None = None) -> None:
        self.passed: list[str] = []
        self.errors: list[PyasynqError] = []
        self.infos: list[TaskInfo] = []
        self.before = before
        self.after = after

    async def __call__(self, task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        self.passed.append(task.type)
        if self.before is not None:
            error, self.before = self.before, None
            raise error
        try:
            self.infos.append(await call_next(task, options.merge(headers={"trace": "4bf9"})))
        except PyasynqError as error:
            self.errors.append(error)
            raise
        if self.after is not None:
            raise self.after
        return self.infos[-1]


class RecordingHook:
    """A ``post_enqueue`` that records the outcomes of ticks."""

    def __init__(self) -> None:
        self.outcomes: list[TaskInfo | PyasynqError] = []

    async def __call__(self, task: Task, outcome: TaskInfo | PyasynqError) -> None:
        self.outcomes.append(outcome)


async def start_scheduler(make: Make, **options: object) -> Scheduler:
    """Return a scheduler with an entry that has begun, and ticks each minute."""
    scheduler = make(**options)
    scheduler.register("* * * * *", TASK)
    await ticker_of(scheduler).step()
    return scheduler


async def test_the_task_of_a_tick_passes_once(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    middleware, hook = RecordingMiddleware(), RecordingHook()
    scheduler = await start_scheduler(make, client_middleware=[middleware], post_enqueue=hook)
    await advance_and_step(scheduler, clock, minutes=1)
    [task_id] = await queue.pending_ids()
    assert middleware.passed == ["t"]
    assert dict((await queue.message(task_id)).headers) == {"own": "1", "trace": "4bf9"}
    assert hook.outcomes == middleware.infos
    assert middleware.infos[0].id == task_id


async def test_each_tick_passes(make: Make, clock: SteeredClock, queue: QueueView) -> None:
    middleware = RecordingMiddleware()
    scheduler = await start_scheduler(make, client_middleware=[middleware], catch_up="all")
    await advance_and_step(scheduler, clock, minutes=3)
    assert middleware.passed == ["t"] * 3
    assert len(await queue.pending_ids()) == 3


@pytest.mark.parametrize("error", [ValueError("not today"), SystemExit(1)])
async def test_a_tick_that_is_refused_is_skipped_and_the_next_comes(
    make: Make,
    clock: SteeredClock,
    queue: QueueView,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    middleware, hook = RecordingMiddleware(before=error), RecordingHook()
    scheduler = await start_scheduler(
        make, client_middleware=[middleware], post_enqueue=hook, catch_up="all"
    )
    await advance_and_step(scheduler, clock, minutes=2)
    assert middleware.passed == ["t"] * 2
    assert len(await queue.pending_ids()) == 1
    assert [type(outcome) for outcome in hook.outcomes] == [MiddlewareError, TaskInfo]
    assert "'* * * * *' was due and is skipped: " in caplog.text


async def test_a_tick_is_tried_again_when_redis_was_away(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    middleware = RecordingMiddleware(before=BrokerUnavailableError("away"))
    scheduler = await start_scheduler(make, client_middleware=[middleware])
    with pytest.raises(BrokerUnavailableError):
        await advance_and_step(scheduler, clock, minutes=1)
    await ticker_of(scheduler).step()
    assert len(await queue.pending_ids()) == 1


async def test_a_middleware_that_fails_too_late_changes_nothing(
    make: Make, clock: SteeredClock, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    hook, middleware = RecordingHook(), RecordingMiddleware(after=ValueError("late"))
    scheduler = await start_scheduler(make, client_middleware=[middleware], post_enqueue=hook)
    await advance_and_step(scheduler, clock, minutes=1)
    await ticker_of(scheduler).step()
    assert len(await queue.pending_ids()) == 1
    assert hook.outcomes == middleware.infos
    [record] = [it for it in caplog.records if it.levelno >= logging.ERROR]
    assert record.getMessage().endswith("at '* * * * *', after the tick was handled")


async def test_a_refusal_of_redis_is_reported_once(
    make: Make, clock: SteeredClock, caplog: pytest.LogCaptureFixture
) -> None:
    middleware, hook = RecordingMiddleware(), RecordingHook()
    scheduler = make(client_middleware=[middleware], post_enqueue=hook)
    scheduler.register("* * * * *", TASK, task_id="mine")
    await ticker_of(scheduler).step()
    for _ in range(2):
        await advance_and_step(scheduler, clock, minutes=1)
    assert hook.outcomes == [*middleware.infos, *middleware.errors]
    assert [type(error).__name__ for error in middleware.errors] == ["TaskIDConflictError"]
    assert caplog.text.count("is skipped") == 1


async def test_the_middleware_gets_an_error_if_another_scheduler_has_handled_the_tick(
    make: Make, clock: SteeredClock, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = RecordingMiddleware(), RecordingMiddleware()
    schedulers = [await start_scheduler(make, client_middleware=[it]) for it in (first, second)]
    clock.advance(minutes=1)
    for scheduler in schedulers:
        await ticker_of(scheduler).step()
    assert len(await queue.pending_ids()) == 1
    assert [type(error) for error in second.errors] == [NotEnqueuedError]
    assert "another scheduler has handled the tick" in str(second.errors[0])
    assert caplog.records == []


async def test_a_manager_has_middleware_and_codecs(redis_url: str, queue: QueueView) -> None:
    middleware = RecordingMiddleware()
    manager = PeriodicTaskManager(
        redis_url,
        lambda: [PeriodicTask(spec="@every 1s", task=TASK)],
        client_middleware=[middleware],
        codecs=[Zlib()],
    )
    async with manager.running():
        await wait_until(queue.pending_ids)
        [task_id, *_] = await queue.pending_ids()
    assert set(middleware.passed) == {"t"}
    assert (await queue.message(task_id)).headers[HEADER] == "zlib"


async def test_a_tick_that_redis_did_not_take_is_tried_again_although_middleware_changed_the_error(
    make: Make, clock: SteeredClock, queue: QueueView, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def traced(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        try:
            return await call_next(task, options)
        except PyasynqError as error:
            raise RuntimeError("traced") from error

    scheduler = await start_scheduler(make, client_middleware=[traced])
    creation = ticker_of(scheduler)._creation

    async def away(tasks: Sequence[NewTask]) -> list[Created]:
        return [BrokerUnavailableError("away") for _ in tasks]

    clock.advance(minutes=1)
    with monkeypatch.context() as patch:
        patch.setattr(creation, "create", away)
        with pytest.raises(BrokerUnavailableError, match="away"):
            await ticker_of(scheduler).step()
    await ticker_of(scheduler).step()
    assert len(await queue.pending_ids()) == 1


async def test_the_task_of_a_tick_stays_in_the_queue_of_its_entry(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    async def elsewhere(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        return await call_next(task, options.merge(queue="elsewhere"))

    schedulers = [await start_scheduler(make, client_middleware=it) for it in ([elsewhere], [])]
    clock.advance(minutes=1)
    for scheduler in schedulers:
        await ticker_of(scheduler).step()
    assert len(await queue.pending_ids()) == 1


# -- codecs ----------------------------------------------------------------------------------------


async def test_the_task_of_a_tick_is_sealed_and_its_entry_shows_no_payload(
    make: Make, clock: SteeredClock, queue: QueueView, redis_url: str
) -> None:
    scheduler = await start_scheduler(make, codecs=[Envelope()])
    await advance_and_step(scheduler, clock, minutes=1)
    [task_id] = await queue.pending_ids()
    message = await queue.message(task_id)
    assert b"1234" not in message.payload
    assert message.headers[HEADER] == "envelope"
    await heartbeater_of(scheduler).step()
    async with Inspector(redis_url, codecs=[Envelope()]) as inspector:
        [entry] = await inspector.scheduler_entries()
        assert (await inspector.task_info("default", task_id)).payload == b"card 1234"
    assert entry.task.payload == b""
    await heartbeater_of(scheduler).clear()


async def test_a_tick_that_cannot_be_sealed_does_not_delay_the_others(
    make: Make, clock: SteeredClock, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Zlib):
        def seal(self, payload: bytes, context: object) -> bytes:
            if payload == b"bad":
                raise ValueError(payload)
            return payload

    scheduler = await start_scheduler(make, codecs=[Picky()])
    scheduler.register("* * * * *", Task("t", b"bad"))
    await ticker_of(scheduler).step()
    await advance_and_step(scheduler, clock, minutes=1)
    assert len(await queue.pending_ids()) == 1
    assert "is skipped: codec 'zlib' cannot seal" in caplog.text


# -- settings --------------------------------------------------------------------------------------


async def test_a_value_that_cannot_be_used_is_refused(make: Make) -> None:
    with pytest.raises(TypeError, match="a client middleware is called with"):
        make(client_middleware=[lambda task: task])
    with pytest.raises(ValueError, match="codecs must be objects"):
        make(codecs=["zlib"])
