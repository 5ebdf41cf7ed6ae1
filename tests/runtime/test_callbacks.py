"""The user's functions may raise anything without harm, and the one that runs can be named."""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pyasynq.runtime.callbacks import CALLBACK_THREAD, Callbacks, call_guarded, role_in


class Odd(BaseException):
    """An error of a library that is no `Exception`."""


@pytest.fixture
async def callbacks() -> AsyncIterator[Callbacks]:
    """Yield callbacks that run one plain function at a time."""
    callbacks = Callbacks(1)
    yield callbacks
    callbacks.close()


async def test_a_plain_function_is_called_in_a_thread(callbacks: Callbacks) -> None:
    names: list[str] = []
    await callbacks.call("hook", lambda _: names.append(threading.current_thread().name), 1)
    assert names[0].startswith(CALLBACK_THREAD)


async def test_an_async_function_is_called_on_the_loop(callbacks: Callbacks) -> None:
    threads: list[threading.Thread] = []

    async def hook(_: object) -> None:
        threads.append(threading.current_thread())

    await callbacks.call("hook", hook, 1)
    assert threads == [threading.current_thread()]


async def test_a_coroutine_that_a_plain_function_returns_is_awaited(callbacks: Callbacks) -> None:
    values: list[object] = []

    async def hook(value: object) -> None:
        values.append(value)

    await callbacks.call("hook", lambda value: hook(value), 1)  # noqa: PLW0108 - not async
    assert values == [1]


async def test_without_a_function_nothing_is_called(callbacks: Callbacks) -> None:
    await callbacks.call("hook", None, 1)


def fails_plainly(error: BaseException) -> None:
    raise error


async def fails(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("function", [fails, fails_plainly])
@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        SystemExit(1),
        asyncio.CancelledError(),
        GeneratorExit(),
        Odd(),
        StopIteration(),
    ],
    ids=repr,
)
async def test_an_error_of_a_function_is_logged_and_ends_nothing(
    function: Callable[[BaseException], object],
    error: BaseException,
    callbacks: Callbacks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await callbacks.call("hook", function, error)
    assert caplog.records[0].getMessage() == f"hook failed for {error!r}"
    assert caplog.records[0].exc_info


async def test_a_cancellation_of_the_caller_is_no_failure_of_the_function(
    callbacks: Callbacks,
) -> None:
    began, free = threading.Event(), threading.Event()

    def hook(_: object) -> None:
        began.set()
        free.wait(30)

    job = asyncio.create_task(callbacks.call("hook", hook, 1))
    await asyncio.to_thread(began.wait, 30)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    free.set()


def test_a_call_that_is_closed_after_its_loop_ends_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    callbacks = Callbacks(1)
    call = callbacks.call("hook", lambda _: asyncio.Event().wait(), 1)

    async def begin() -> asyncio.Task[None]:
        job = asyncio.create_task(call)
        await asyncio.sleep(0.001)
        return job

    loop = asyncio.new_event_loop()
    job: Any = loop.run_until_complete(begin())
    loop.close()
    call.close()
    job._log_destroy_pending = False
    callbacks.close()
    assert caplog.records == []


async def test_a_configuration_of_logging_in_a_function_does_not_silence_its_failure(
    callbacks: Callbacks, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_: object) -> None:
        logging.getLogger("pyasynq.callbacks").disabled = True
        raise ValueError

    await callbacks.call("hook", hook, 1)
    assert "hook failed for 1" in caplog.text


# -- functions whose answers are used --------------------------------------------------------------


async def test_the_result_of_a_function_is_returned() -> None:
    async def hook() -> int:
        return 1

    assert await call_guarded("hook", hook()) == 1


async def test_an_exception_of_a_function_comes_out_as_it_is() -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised:
        await call_guarded("hook", fails(error))
    assert raised.value is error


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), Odd()], ids=repr)
async def test_an_error_that_would_end_more_than_the_call_becomes_a_runtime_error(
    error: BaseException,
) -> None:
    with pytest.raises(RuntimeError) as raised:
        await call_guarded("hook", fails(error))
    assert (str(raised.value), raised.value.__cause__) == (f"hook raised {error!r}", error)


async def test_an_interrupt_in_a_function_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        await call_guarded("hook", fails(KeyboardInterrupt()))


async def test_the_role_of_the_running_function_is_known(callbacks: Callbacks) -> None:
    roles: list[str | None] = []

    async def hook(_: object = None) -> None:
        roles.append(role_in(sys._getframe()))

    await hook()
    await call_guarded("guarded", hook())
    await callbacks.call("called", hook, 1)
    assert roles == [None, "guarded", "called"]
