"""A call from another event loop runs in the loop that the object is bound to, or is refused."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from pyasynq import LoopError
from pyasynq.runtime import loops
from pyasynq.runtime.loops import BoundLoop

T = TypeVar("T")

trace: ContextVar[str] = ContextVar("trace")


async def in_another_loop(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await what *make* returns in the loop of another thread, while this loop goes on."""
    return await asyncio.to_thread(lambda: asyncio.run(make()))


async def this_loop() -> asyncio.AbstractEventLoop:
    """Return the loop in which this is awaited."""
    return asyncio.get_running_loop()


async def bind() -> BoundLoop:
    """Bind to the loop in which this is awaited."""
    return BoundLoop()


async def test_a_call_is_made_in_the_loop_it_belongs_to() -> None:
    bound = BoundLoop()
    made_in = await in_another_loop(lambda: bound.call(this_loop))
    assert made_in is asyncio.get_running_loop()


async def test_an_error_of_a_call_is_raised_where_the_call_came_from() -> None:
    async def fail() -> None:
        raise KeyError("deep")

    bound = BoundLoop()
    with pytest.raises(KeyError, match="deep"):
        await in_another_loop(lambda: bound.call(fail))


async def test_a_call_sees_the_context_variables_of_its_caller() -> None:
    async def read() -> str:
        return trace.get()

    async def ask() -> str:
        trace.set("4bf92f35")
        return await bound.call(read)

    bound = BoundLoop()
    assert await in_another_loop(ask) == "4bf92f35"


async def test_a_call_is_cancelled_with_its_caller() -> None:
    begun, cancelled = threading.Event(), asyncio.Event()

    async def wait() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def give_up() -> None:
        asking = asyncio.create_task(bound.call(wait))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        await asyncio.wait([asking])

    bound = BoundLoop()
    await in_another_loop(give_up)
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_call_to_a_blocked_loop_fails_and_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "START_TIMEOUT_S", 0.02)
    monkeypatch.setattr(loops, "POLL_S", 0.01)
    made: list[str] = []
    errors: list[BaseException] = []

    async def note() -> None:
        made.append("late")

    def ask() -> None:
        try:
            asyncio.run(bound.call(note))
        except LoopError as error:
            errors.append(error)

    bound = BoundLoop()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()  # blocks this loop
    await asyncio.sleep(0)
    assert (made, "is blocked" in str(errors)) == ([], True)


async def test_a_call_that_cancels_itself_is_cancelled_where_it_came_from() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    bound = BoundLoop()
    with pytest.raises(asyncio.CancelledError):
        await in_another_loop(lambda: bound.call(give_up))


class ClosingLoop(asyncio.SelectorEventLoop):
    """A loop that is closed right after a check that it is open."""

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> asyncio.Handle:  # noqa: ANN401 - passed on
        self.close()
        return super().call_soon_threadsafe(*args, **kwargs)


def test_a_loop_that_is_closed_while_a_call_is_given_up_hides_nothing() -> None:
    call = loops._Call(this_loop, ClosingLoop())
    call.answer.set_running_or_notify_cancel()
    call.give_up()
    assert not call.answer.done()


async def test_a_thread_without_a_loop_has_its_call_made_in_the_loop() -> None:
    bound = BoundLoop()
    assert await asyncio.to_thread(bound.call_sync, this_loop) is asyncio.get_running_loop()


async def test_an_error_of_a_call_from_a_thread_is_raised_in_the_thread() -> None:
    async def fail() -> None:
        raise TimeoutError

    bound = BoundLoop()
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(bound.call_sync, fail)


def test_a_thread_does_not_wait_for_a_loop_that_is_stopped_before_it_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "POLL_S", 0.01)
    loop = asyncio.new_event_loop()
    bound = loop.run_until_complete(bind())

    async def stop() -> None:
        loop.stop()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[None]] = []
        loop.call_soon(lambda: waiting.append(pool.submit(bound.call_sync, stop)))
        loop.run_forever()
        with pytest.raises(LoopError, match="the call may have been made"):
            waiting[0].result(10)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_call_to_a_closed_loop_fails() -> None:
    bound = asyncio.run(bind())
    with pytest.raises(LoopError, match=r"is closed: open one Client, or the app, in each loop"):
        asyncio.run(bound.call(this_loop))


def test_a_call_to_a_loop_that_does_not_run_now_fails() -> None:
    with asyncio.Runner() as runner:
        bound = runner.run(bind())
        with pytest.raises(LoopError, match="does not run now"):
            asyncio.run(bound.call(this_loop))


async def test_a_call_to_a_loop_of_the_parent_process_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound = BoundLoop()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(LoopError, match="this one was forked from"):
        await in_another_loop(lambda: bound.call(this_loop))


def test_a_call_fails_if_the_loop_ends_before_it_has_answered() -> None:
    begun, asking = threading.Event(), threading.Event()
    bound_loops: list[BoundLoop] = []

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def end_when_asked() -> None:
        bound_loops.append(BoundLoop())
        asking.set()
        await asyncio.to_thread(begun.wait, 10)

    thread = threading.Thread(target=lambda: asyncio.run(end_when_asked()))
    thread.start()
    asking.wait(10)
    with pytest.raises(LoopError, match="the call may have been made"):
        asyncio.run(bound_loops[0].call(wait))
    thread.join()


def test_a_call_fails_if_the_loop_is_stopped_before_it_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "POLL_S", 0.01)
    loop = asyncio.new_event_loop()
    bound = loop.run_until_complete(bind())

    async def stop() -> None:
        loop.stop()
        await asyncio.Event().wait()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with pytest.raises(LoopError, match=r"has ended meanwhile|does not run now"):
        asyncio.run(bound.call(stop))
    thread.join()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
