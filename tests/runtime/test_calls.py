"""A call that was never awaited is logged; in all other ways it is a coroutine."""

import asyncio
import gc
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from pyasynq import NotAwaitedError
from pyasynq.runtime import calls
from pyasynq.runtime.calls import check_awaited, must_await


class Run:
    """A task that is being run."""

    forgotten: NotAwaitedError | None = None


@must_await
async def double(n: int) -> int:
    """Return twice *n*."""
    await asyncio.sleep(0)
    return 2 * n


@pytest.fixture
def run() -> Iterator[Run]:
    """Yield the current run."""
    run = Run()
    token = calls.current.set(run)
    yield run
    calls.current.reset(token)


def test_a_call_that_is_never_awaited_is_logged_with_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    double(1)  # type: ignore[unused-coroutine]
    line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
    assert f"double() was never awaited at {__file__}:{line}: it did nothing;" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_it_fails_the_run_in_which_it_was_made(run: Run) -> None:
    made = double(1)
    calls.current.set(Run())
    del made
    assert "double() was never awaited" in str(run.forgotten)


def _alone() -> Coroutine[Any, Any, int]:
    return double(4)


def test_a_call_that_is_never_awaited_is_reported_to_those_who_ask(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reported: list[NotAwaitedError] = []
    calls.on_forgotten.append(reported.append)
    double(4)  # type: ignore[unused-coroutine]
    calls.on_forgotten.remove(reported.append)
    double(4)  # type: ignore[unused-coroutine]
    assert [error.call for error in reported] == ["double"]


async def _awaited() -> int:
    return await double(4)


async def _in_a_group() -> int:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(double(4))
    return task.result()


async def _in_a_group_of_anyio() -> int:
    answers: list[int] = []

    @must_await
    async def note(n: int) -> None:
        answers.append(await double(n))

    async with anyio.create_task_group() as group:
        group.start_soon(note, 4)
    return answers[0]


async def _with_gather() -> int:
    return sum(await asyncio.gather(double(2), double(2)))


async def _in_a_task() -> int:
    return await asyncio.create_task(double(4))


async def _in_time() -> int:
    return await asyncio.wait_for(double(4), 10)


async def _from_a_thread() -> int:
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(
        lambda: asyncio.run_coroutine_threadsafe(double(4), loop).result()
    )


async def _from_a_thread_of_anyio() -> int:
    return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(double, 4))


Way: TypeAlias = Callable[[], Coroutine[Any, Any, int]]


@pytest.mark.parametrize(
    "way",
    [
        _alone,
        _awaited,
        _in_a_group,
        _in_a_group_of_anyio,
        _with_gather,
        _in_a_task,
        _in_time,
        _from_a_thread,
        _from_a_thread_of_anyio,
    ],
)
def test_it_can_be_awaited_as_every_coroutine_can(
    way: Way, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    assert (asyncio.run(way()), run.forgotten, caplog.records) == (8, None, [])


async def test_a_call_that_was_cancelled_before_it_began_is_not_logged(run: Run) -> None:
    task = asyncio.create_task(double(1))
    task.cancel()
    await asyncio.wait([task])
    del task
    gc.collect()
    assert run.forgotten is None


def test_a_call_whose_init_failed_has_no_attributes() -> None:
    unfinished = calls.Call.__new__(calls.Call)
    unfinished._awaited = True
    with pytest.raises(AttributeError):
        _ = unfinished.cr_frame


def test_a_call_that_was_closed_is_not_logged(run: Run) -> None:
    double(1).close()
    assert run.forgotten is None


def test_it_passes_for_a_coroutine() -> None:
    call = double(1)
    assert (inspect.iscoroutine(call), asyncio.iscoroutine(call)) == (True, True)
    assert (inspect.isawaitable(call), inspect.getcoroutinestate(call)) == (True, "CORO_CREATED")
    call.close()


def test_the_decorated_function_passes_for_an_async_function() -> None:
    assert asyncio.iscoroutinefunction(double)  # pyright: ignore[reportDeprecated] - for 3.11


def test_a_handler_that_returns_work_instead_of_doing_it_is_refused() -> None:
    async def send() -> None: ...

    with pytest.raises(NotAwaitedError, match=r"send\(\) was never awaited at the end of"):
        check_awaited(send())
    check_awaited(4)
