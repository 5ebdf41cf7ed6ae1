"""A call from another event loop is made in the one it belongs to, or refused with a reason."""

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
from pyasynq.runtime.loops import HomeLoop

T = TypeVar("T")

trace: ContextVar[str] = ContextVar("trace")


async def in_another_loop(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await what *make* returns in the loop of another thread; this one goes on."""
    return await asyncio.to_thread(lambda: asyncio.run(make()))


async def this_loop() -> asyncio.AbstractEventLoop:
    """Return the loop in which this is awaited."""
    return asyncio.get_running_loop()


async def home_of_here() -> HomeLoop:
    """Return the home of what belongs to this loop."""
    return HomeLoop()


async def test_a_call_is_made_in_the_loop_it_belongs_to() -> None:
    home = HomeLoop()
    made_in = await in_another_loop(lambda: home.call(this_loop))
    assert made_in is asyncio.get_running_loop()


async def test_what_a_call_raises_is_raised_where_it_came_from() -> None:
    async def fail() -> None:
        raise KeyError("deep")

    home = HomeLoop()
    with pytest.raises(KeyError, match="deep"):
        await in_another_loop(lambda: home.call(fail))


async def test_a_call_sees_the_context_variables_of_its_caller() -> None:
    async def read() -> str:
        return trace.get()

    async def ask() -> str:
        trace.set("4bf92f35")
        return await home.call(read)

    home = HomeLoop()
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
        asking = asyncio.create_task(home.call(wait))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        await asyncio.wait([asking])

    home = HomeLoop()
    await in_another_loop(give_up)
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_loop_that_waits_for_the_call_itself_is_told_and_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "BEGIN_S", 0.02)
    monkeypatch.setattr(loops, "LOOK_S", 0.01)
    made: list[str] = []
    errors: list[BaseException] = []

    async def note() -> None:
        made.append("late")

    def ask() -> None:
        try:
            asyncio.run(home.call(note))
        except LoopError as error:
            errors.append(error)

    home = HomeLoop()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()  # blocks this loop
    await asyncio.sleep(0)
    assert (made, "is blocked" in str(errors)) == ([], True)


async def test_a_call_that_cancels_itself_is_cancelled_where_it_came_from() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    home = HomeLoop()
    with pytest.raises(asyncio.CancelledError):
        await in_another_loop(lambda: home.call(give_up))


class ClosingLoop(asyncio.SelectorEventLoop):
    """A loop that is closed as soon as it was looked at."""

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> asyncio.Handle:  # noqa: ANN401 - passed on
        self.close()
        return super().call_soon_threadsafe(*args, **kwargs)


def test_a_loop_that_is_closed_while_a_call_is_given_up_hides_nothing() -> None:
    call = loops._Call(this_loop, ClosingLoop())
    call.answer.set_running_or_notify_cancel()
    call.give_up()
    assert not call.answer.done()


async def test_a_thread_without_a_loop_has_its_call_made_in_the_loop() -> None:
    home = HomeLoop()
    assert await asyncio.to_thread(home.call_sync, this_loop) is asyncio.get_running_loop()


async def test_what_a_call_from_a_thread_raises_is_raised_there() -> None:
    async def fail() -> None:
        raise TimeoutError

    home = HomeLoop()
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(home.call_sync, fail)


def test_a_thread_does_not_wait_for_a_loop_that_is_stopped_before_it_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "LOOK_S", 0.01)
    loop = asyncio.new_event_loop()
    home = loop.run_until_complete(home_of_here())

    async def stop() -> None:
        loop.stop()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[None]] = []
        loop.call_soon(lambda: waiting.append(pool.submit(home.call_sync, stop)))
        loop.run_forever()
        with pytest.raises(LoopError, match="the call may have been made"):
            waiting[0].result(10)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_loop_that_is_over_is_told() -> None:
    home = asyncio.run(home_of_here())
    with pytest.raises(LoopError, match=r"is over: open one Client, or the app, in each loop"):
        asyncio.run(home.call(this_loop))


def test_a_loop_that_does_not_run_now_is_told() -> None:
    with asyncio.Runner() as runner:
        home = runner.run(home_of_here())
        with pytest.raises(LoopError, match="does not run now"):
            asyncio.run(home.call(this_loop))


async def test_a_loop_of_the_process_before_the_fork_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = HomeLoop()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(LoopError, match="this one was forked from"):
        await in_another_loop(lambda: home.call(this_loop))


def test_a_loop_that_ends_before_it_has_answered_is_told() -> None:
    begun, asking = threading.Event(), threading.Event()
    homes: list[HomeLoop] = []

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def end_when_asked() -> None:
        homes.append(HomeLoop())
        asking.set()
        await asyncio.to_thread(begun.wait, 10)

    thread = threading.Thread(target=lambda: asyncio.run(end_when_asked()))
    thread.start()
    asking.wait(10)
    with pytest.raises(LoopError, match="the call may have been made"):
        asyncio.run(homes[0].call(wait))
    thread.join()


def test_a_loop_that_is_stopped_before_it_has_answered_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "LOOK_S", 0.01)
    loop = asyncio.new_event_loop()
    home = loop.run_until_complete(home_of_here())

    async def stop() -> None:
        loop.stop()
        await asyncio.Event().wait()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with pytest.raises(LoopError, match=r"has ended meanwhile|does not run now"):
        asyncio.run(home.call(stop))
    thread.join()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
