"""Handlers are found by type, wrapped in middleware, and run on the loop or in threads."""

import asyncio
import functools
import re
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import pytest

from pyasynq import (
    ActiveTask,
    Client,
    HandlerNotFoundError,
    Mux,
    OptionError,
    Server,
    SkipRetry,
    Task,
)
from pyasynq import current_task as the_current_task
from pyasynq.server import AsyncHandler
from pyasynq.testing import Tasks
from tests.server.handlers import Handler, actors_of, run_burst, wait_until_cancelled
from tests.support.queue_view import QueueView

SECOND = timedelta(seconds=1)
seen: ContextVar[str] = ContextVar("seen", default="nothing")


async def run_all(client: Client, redis_url: str, mux: Mux, *types: str) -> None:
    """Enqueue a task of each type and have *mux* run them, one after another."""
    await client.enqueue_many([Task(type) for type in types])
    await run_burst(Server(redis_url, burst=True, concurrency=1), mux)


# -- patterns --------------------------------------------------------------------------------------


async def test_the_handler_of_the_exact_type_is_called(client: Client, redis_url: str) -> None:
    mux, exact, prefix = Mux(), Handler(), Handler()
    mux.handle("email")(prefix)
    mux.handle("email:verify")(exact)
    await run_all(client, redis_url, mux, "email:verify")
    assert (len(exact.tasks), len(prefix.tasks)) == (1, 0)


async def test_the_longest_prefix_wins(client: Client, redis_url: str) -> None:
    mux, longer, shorter = Mux(), Handler(), Handler()
    mux.handle("email:")(shorter)
    mux.handle("email:verify")(longer)
    await run_all(client, redis_url, mux, "email:verify:again", "email:send", "email:verifyx")
    assert [task.type for task in longer.tasks] == ["email:verify:again", "email:verifyx"]
    assert [task.type for task in shorter.tasks] == ["email:send"]


async def test_an_exact_pattern_handles_no_longer_types(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    mux, exact, prefix = Mux(), Handler(), Handler()
    mux.handle("email:verify", exact=True)(exact)
    mux.handle("email:")(prefix)
    await run_all(client, redis_url, mux, "email:verify", "email:verifyx")
    assert [task.type for task in exact.tasks] == ["email:verify"]
    assert [task.type for task in prefix.tasks] == ["email:verifyx"]


async def test_patterns_are_case_sensitive(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    mux, handler = Mux(), Handler()
    mux.handle("email")(handler)
    await run_all(client, redis_url, mux, "Email")
    assert handler.tasks == []
    assert len(await queue.ids("retry")) == 1


async def test_a_task_that_nobody_handles_is_retried_with_the_reason(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("unknown"))
    await run_burst(Server(redis_url, burst=True), Mux())
    message = await queue.message(info.id)
    assert (message.retried, message.error_msg) == (1, 'handler not found for task "unknown"')


async def test_a_handler_may_be_added_while_the_server_runs(client: Client, redis_url: str) -> None:
    mux, prefix, exact = Mux(), Handler(), Handler()
    mux.handle("t")(prefix)
    async with Server(redis_url).running(mux):
        await client.enqueue(Task("t:x"))
        await prefix.wait_for_tasks()
        mux.handle("t:x")(exact)
        await client.enqueue(Task("t:x"))
        await exact.wait_for_tasks()


@pytest.mark.parametrize("pattern", ["", " \t"])
def test_a_blank_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(OptionError, match="non-blank"):
        Mux().handle(pattern)


def test_a_second_handler_of_a_pattern_is_refused() -> None:
    mux = Mux()
    mux.handle("t")(Handler())
    with pytest.raises(OptionError, match="no handler yet"):
        mux.handle("t")


async def test_a_mux_can_be_nested(client: Client, redis_url: str) -> None:
    outer, inner, handler = Mux(), Mux(), Handler()
    outer.handle("email:")(inner)
    inner.handle("email:verify")(handler)
    await run_all(client, redis_url, outer, "email:verify")
    assert len(handler.tasks) == 1


async def test_a_mux_within_a_middleware_finds_what_is_added_later(
    client: Client, redis_url: str
) -> None:
    mux, handler, types = Mux(), Handler(), list[str]()

    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        types.append(task.type)
        await call_next(task)

    outer = mux.within(note)
    mux.handle("t")(handler)
    await run_all(client, redis_url, outer, "t")
    assert types == [task.type for task in handler.tasks] == list(outer.patterns) == ["t"]


# -- middleware ------------------------------------------------------------------------------------


async def test_a_middleware_inside_of_all_others_sees_what_the_handler_returns() -> None:
    mux, events = Mux(), list[object]()

    @mux.use
    async def outside(task: ActiveTask, call_next: AsyncHandler) -> None:
        events.append("outside")
        await call_next(task)

    async def inside(task: ActiveTask, call_next: AsyncHandler) -> None:
        events.append(("inside", await call_next(task)))

    @mux.handle("t")
    async def answer(_task: ActiveTask) -> int:
        return 42

    async with Tasks(mux.around(inside)) as tasks:
        await tasks.perform(Task("t:1"))
    assert events == ["outside", ("inside", 42)]


async def test_the_first_middleware_is_outermost(client: Client, redis_url: str) -> None:
    mux, steps = Mux(), list[str]()

    async def note(name: str, task: ActiveTask, call_next: AsyncHandler) -> object:
        steps.append(f"{name} before")
        result = await call_next(task)
        steps.append(f"{name} after")
        return result

    mux.use(functools.partial(note, "first"))
    mux.use(functools.partial(note, "second"))
    mux.handle("t")(Handler())
    await run_all(client, redis_url, mux, "t")
    assert steps == ["first before", "second before", "second after", "first after"]


async def test_middleware_also_wraps_types_without_a_handler(
    client: Client, redis_url: str
) -> None:
    mux, errors = Mux(), list[str]()

    @mux.use
    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        with pytest.raises(HandlerNotFoundError) as caught:
            await call_next(task)
        errors.append(caught.value.type)

    await run_all(client, redis_url, mux, "unknown")
    assert errors == ["unknown"]


async def test_middleware_of_a_nested_mux_wraps_its_handlers_alone(
    client: Client, redis_url: str
) -> None:
    outer, inner, types = Mux(), Mux(), list[str]()

    @inner.use
    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        types.append(task.type)
        await call_next(task)

    outer.handle("in")(inner)
    outer.handle("out")(Handler())
    inner.handle("in")(Handler())
    await run_all(client, redis_url, outer, "in", "out")
    assert types == ["in"]


async def test_middleware_may_answer_in_the_place_of_the_handler(
    client: Client, redis_url: str
) -> None:
    mux, handler = Mux(), Handler()

    @mux.use
    async def answer(_task: ActiveTask, _call_next: AsyncHandler) -> None:
        return

    mux.handle("t")(handler)
    await run_all(client, redis_url, mux, "t")
    assert handler.tasks == []


async def test_middleware_that_does_not_await_the_handler_fails_its_task(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    mux, handler = Mux(), Handler()

    @mux.use
    async def forget(task: ActiveTask, call_next: AsyncHandler) -> None:
        call_next(task).close()  # type: ignore[attr-defined]  # what Python does, with a warning

    mux.handle("t")(handler)
    await run_all(client, redis_url, mux, "t")
    assert len(await queue.ids("retry")) == 1
    assert re.search(r"call_next\(\) was never awaited at the middleware .*forget: it", caplog.text)


async def test_middleware_that_returns_the_call_of_the_handler_fails_its_task(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    mux, handler = Mux(), Handler()

    @mux.use
    async def pass_on(task: ActiveTask, call_next: AsyncHandler) -> object:
        return call_next(task)

    mux.handle("t")(handler)
    await run_all(client, redis_url, mux, "t")
    assert (handler.tasks, len(await queue.ids("retry"))) == ([], 1)


async def test_middleware_may_call_the_handler_again(client: Client, redis_url: str) -> None:
    mux, handler = Mux(), Handler()

    @mux.use
    async def twice(task: ActiveTask, call_next: AsyncHandler) -> None:
        await call_next(task)
        await asyncio.create_task(call_next(task))  # type: ignore[arg-type]

    mux.handle("t")(handler)
    await run_all(client, redis_url, mux, "t")
    assert len(handler.tasks) == 2


async def test_plain_middleware_that_awaits_nothing_is_refused(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    mux = Mux()
    mux.use(lambda _task, _call_next: None)  # type: ignore[arg-type, return-value]
    mux.handle("t")(Handler())
    await run_all(client, redis_url, mux, "t")
    assert "must be an async def, and await call_next" in caplog.text


# -- plain functions -------------------------------------------------------------------------------


async def test_a_plain_function_runs_in_a_thread(client: Client, redis_url: str) -> None:
    threads: list[threading.Thread] = []
    await client.enqueue(Task("t"))
    server = Server(redis_url, burst=True)
    await run_burst(server, lambda _task: threads.append(threading.current_thread()))
    assert threads[0] is not threading.main_thread()


async def test_middleware_opens_contexts_in_the_thread_of_a_plain_function(
    client: Client, redis_url: str
) -> None:
    events: list[tuple[str, int]] = []

    def note(event: str) -> None:
        events.append((event, threading.get_ident()))

    @contextmanager
    def within(name: str) -> Generator[None]:
        note(f"open {name}")
        yield
        note(f"close {name}")

    async def opening(task: ActiveTask, call_next: AsyncHandler) -> object:
        task.use_in_thread(lambda: within("outer"))
        task.use_in_thread(lambda: within("inner"))
        return await call_next(task)

    mux = Mux()
    mux.use(opening)
    mux.handle("t")(lambda _task: note("run"))
    await run_all(client, redis_url, mux, "t")
    assert [it[0] for it in events] == [
        *("open outer", "open inner", "run", "close inner", "close outer")
    ]
    assert len({it[1] for it in events} - {threading.get_ident()}) == 1


async def test_plain_functions_run_as_many_at_once_as_allowed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue_many([Task("t") for _ in range(12)])
    meeting = threading.Barrier(6, timeout=60)
    server = Server(redis_url, burst=True, concurrency=6)
    await run_burst(server, lambda _task: meeting.wait())
    assert (await queue.count("processed"), await queue.count("failed")) == (12, 0)


async def test_a_plain_function_sees_the_current_task(client: Client, redis_url: str) -> None:
    info = await client.enqueue(Task("t"))
    ids: list[str] = []
    server = Server(redis_url, burst=True)
    await run_burst(server, lambda _task: ids.append(the_current_task().id))
    assert ids == [info.id]


async def test_a_plain_function_sees_the_context_of_its_middleware(
    client: Client, redis_url: str
) -> None:
    mux, values = Mux(), list[str]()

    @mux.use
    async def set_context(task: ActiveTask, call_next: AsyncHandler) -> None:
        seen.set("from middleware")
        await call_next(task)

    mux.handle("t")(lambda _task: values.append(seen.get()))
    await run_all(client, redis_url, mux, "t")
    assert values == ["from middleware"]


async def test_an_error_of_a_plain_function_is_the_failure(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), lambda _task: {}["missing"])
    assert (await queue.message(info.id)).error_msg == "KeyError: 'missing'"


async def test_a_plain_function_that_exhausts_an_iterator_fails(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), lambda _task: next(iter(())))
    assert await queue.ids("retry") == [info.id]


async def test_a_plain_function_that_makes_a_coroutine_has_it_run(
    client: Client, redis_url: str
) -> None:
    handler = Handler()
    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), lambda task: handler(task))  # noqa: PLW0108
    assert len(handler.tasks) == 1


async def test_a_plain_function_sees_its_timeout_and_keeps_its_slot_until_it_returns(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="slow", timeout=SECOND)
    await client.enqueue(Task("t"), task_id="next")
    cancelled, leave, active = threading.Event(), threading.Event(), list[list[str]]()
    loop = asyncio.get_running_loop()

    async def look() -> None:
        active.append(await queue.ids("active"))
        leave.set()

    def wait(task: ActiveTask) -> None:
        wait_until_cancelled(task)
        cancelled.set()
        asyncio.run_coroutine_threadsafe(look(), loop)
        leave.wait(10)

    def by_id(task: ActiveTask) -> object:
        return {"slow": wait}.get(task.id, active.append)(task)  # type: ignore[operator]

    await run_burst(Server(redis_url, burst=True, concurrency=1), by_id)
    assert cancelled.is_set()
    assert active[0] == ["slow"]


async def test_a_plain_function_whose_coroutine_had_no_time_to_run_has_failed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=SECOND)
    ran: list[str] = []

    async def work() -> None:
        ran.append("work")

    def late(task: ActiveTask) -> object:
        wait_until_cancelled(task)
        return work()

    await run_burst(Server(redis_url, burst=True), late)
    assert (ran, await queue.ids("retry")) == ([], [info.id])


async def test_a_plain_function_can_write_a_result(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=timedelta(hours=1))
    await run_burst(Server(redis_url, burst=True), lambda task: task.write_result_sync(b"sent"))
    assert await queue.result(info.id) == b"sent"


async def test_a_plain_function_can_write_a_result_in_a_loop_of_its_own(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=timedelta(hours=1))
    server = Server(redis_url, burst=True)
    await run_burst(server, lambda task: asyncio.run(task.write_result(b"sent")))
    assert await queue.result(info.id) == b"sent"


async def test_an_async_handler_cannot_block_the_loop_for_a_result(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(task: ActiveTask) -> None:
        task.write_result_sync(b"never")

    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), handle)
    assert "write_result_sync blocks the event loop: await write_result" in caplog.text


async def test_a_plain_function_that_returns_after_its_timeout_has_failed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=SECOND)
    await run_burst(Server(redis_url, burst=True), wait_until_cancelled)
    assert await queue.ids("retry") == [info.id]
    assert (await queue.message(info.id)).error_msg == "context deadline exceeded"


async def test_a_plain_function_that_raises_after_its_timeout_says_itself_what_is_wrong(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), timeout=SECOND)

    def half(task: ActiveTask) -> None:
        wait_until_cancelled(task)
        raise SkipRetry("half done")

    await run_burst(Server(redis_url, burst=True), half)
    assert (await queue.message(info.id)).error_msg == "half done"
    assert await queue.ids("archived") == [info.id]


async def test_a_plain_function_that_returns_although_it_was_canceled_has_succeeded(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    server = Server(redis_url, burst=True)
    loop = asyncio.get_running_loop()

    def wait(task: ActiveTask) -> None:
        loop.call_soon_threadsafe(actors_of(server).runner.cancel, task.id)
        wait_until_cancelled(task)

    await run_burst(server, wait)
    assert not await queue.exists(info.id)


# -- what cannot be a handler ----------------------------------------------------------------------


def generator(_task: ActiveTask) -> Iterator[None]:
    yield


async def async_generator(_task: ActiveTask) -> AsyncIterator[None]:
    yield


class YieldingCall:
    def __call__(self, _task: ActiveTask) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    "function", [generator, async_generator, functools.partial(generator), YieldingCall()]
)
def test_a_generator_is_refused_as_its_body_would_never_run(function: object) -> None:
    with pytest.raises(TypeError, match="its body would never run"):
        Mux().handle("t")(function)  # type: ignore[type-var]


@pytest.mark.parametrize("function", [lambda: None, lambda _task, _more: None], ids=["none", "two"])
def test_a_function_that_does_not_take_one_task_is_refused(function: object) -> None:
    with pytest.raises(TypeError, match=r"a handler is called with \(task\), .*lambda> takes \("):
        Mux().handle("t")(function)  # type: ignore[type-var]


def test_a_value_that_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="a handler must be a function"):
        Mux().handle("t")("not a function")  # type: ignore[type-var]


def test_a_handler_without_a_pattern_is_refused() -> None:
    with pytest.raises(OptionError, match=r'write @mux.handle\("'):
        Mux().handle(Handler())  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [lambda _task: None, generator, "no function"])
def test_a_value_that_cannot_be_middleware_is_refused(function: object) -> None:
    with pytest.raises(TypeError, match="a middleware"):
        Mux().use(function)  # type: ignore[arg-type]


async def test_a_server_refuses_a_handler_that_takes_no_task(redis_url: str) -> None:
    with pytest.raises(TypeError, match="a handler is called with"):
        await Server(redis_url, burst=True).run(lambda: None)  # type: ignore[arg-type]
