"""Calls from one event loop into another, which may run in another thread."""

import asyncio
import concurrent.futures
import contextvars
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from pyasynq.core.errors import LoopError
from pyasynq.runtime.main_guard import check_main_is_guarded

T = TypeVar("T")

START_TIMEOUT_S: Final = 5.0
"""A call that has not begun after this time fails: the other loop is blocked."""

POLL_S: Final = 1.0
"""Time between two checks that the other loop still runs."""

FORKED: Final = "is in the process that this one was forked from"
CLOSED: Final = "is closed"
NOT_RUNNING: Final = "does not run now"
BLOCKED: Final = "is blocked, perhaps by waiting for this very call; nothing was done"
ENDED: Final = "has ended meanwhile; the call may have been made"


class BoundLoop:
    """The event loop that an object is bound to; calls from other loops run in it.

    Attributes:
        loop: The loop.
    """

    __slots__ = ("_pid", "loop")

    def __init__(self) -> None:
        """Bind to the loop that runs in this thread.

        Raises:
            RuntimeError: If a process for tasks imports the program that runs it.
        """
        check_main_is_guarded()
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._pid = os.getpid()

    def is_here(self) -> bool:
        """Return whether the caller runs in the loop."""
        try:
            return self.loop is asyncio.get_running_loop()
        except RuntimeError:
            return False

    def is_running(self) -> bool:
        """Return whether the loop runs now, in this process."""
        return self._pid == os.getpid() and self.loop.is_running()

    async def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call *make* and await its coroutine in the bound loop; return the result here.

        Raises:
            LoopError: If the loop is closed, does not run, is blocked or ends meanwhile.
        """
        self._check_usable()
        call = _Call(make, self.loop)
        answer = asyncio.wrap_future(call.answer)
        try:
            self._send(call)
            await self._watch(call, answer)
        finally:
            answer.cancel()  # no effect if it has a result
            call.give_up()
        return answer.result()

    def call_sync(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Like `call`, for a thread without a loop; wait as long as the bound loop runs.

        Raises:
            LoopError: If the loop does not run, or ends before it has answered.
        """
        self._check_usable()
        call = _Call(make, self.loop)
        try:
            self._send(call)
            while not concurrent.futures.wait([call.answer], timeout=POLL_S).done:
                if not self.loop.is_running():
                    call.answer.cancel()
                    raise LoopError(ENDED)
        finally:
            call.give_up()
        return call.answer.result()

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            raise LoopError(FORKED)
        if self.loop.is_closed():
            raise LoopError(CLOSED)
        if not self.loop.is_running():
            raise LoopError(NOT_RUNNING)

    def _send(self, call: "_Call[Any]") -> None:
        try:
            self.loop.call_soon_threadsafe(call.begin, context=contextvars.copy_context())
        except RuntimeError:  # the loop was closed after the check
            self._check_usable()
            raise

    async def _watch(self, call: "_Call[Any]", answer: "asyncio.Future[Any]") -> None:
        """Return once *answer* has a result.

        Raises:
            LoopError: If the loop is blocked, or has ended.
        """
        waited_s = 0.0
        while not (await asyncio.wait({answer}, timeout=POLL_S))[0]:
            waited_s += POLL_S
            if waited_s >= START_TIMEOUT_S and call.answer.cancel():
                raise LoopError(BLOCKED)
            if not self.loop.is_running():
                call.answer.cancel()
                raise LoopError(ENDED)


class _Call(Generic[T]):
    """One call from another loop or thread."""

    def __init__(
        self, make: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._make = make
        self._loop = loop
        self._job: asyncio.Task[T] | None = None

    def begin(self) -> None:
        """Begin the call, unless it was given up; runs in the bound loop."""
        if self.answer.set_running_or_notify_cancel():
            self._job = self._loop.create_task(self._make())
            self._job.add_done_callback(self._set_answer)

    def give_up(self) -> None:
        """Cancel the call if it has no answer yet."""
        if not self.answer.cancel() and not self.answer.done():
            with suppress(RuntimeError):  # the loop is closed, and has cancelled it
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _set_answer(self, job: "asyncio.Task[T]") -> None:
        if job.cancelled():
            ended = job.cancelling()  # by the end of the loop; else by the called code itself
            self.answer.set_exception(LoopError(ENDED) if ended else asyncio.CancelledError())
        elif (error := job.exception()) is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(job.result())
