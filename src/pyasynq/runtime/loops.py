"""Calls from one event loop into another, which may run in another thread."""

import asyncio
import concurrent.futures
import contextvars
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from pyasynq.core.errors import LoopError

T = TypeVar("T")

BEGIN_S: Final = 5.0
"""A call that has not begun after this time is given up: the loop it is made in is blocked."""

LOOK_S: Final = 1.0
"""Time between looks at whether the other loop still runs."""

FORKED: Final = "is in the process that this one was forked from"
OVER: Final = "is over"
RESTING: Final = "does not run now"
BLOCKED: Final = "is blocked, perhaps by waiting for this very call; nothing was done"
ENDED: Final = "has ended meanwhile; the call may have been made"


class HomeLoop:
    """The event loop that something belongs to; calls from others are made there.

    Attributes:
        loop: The loop.
    """

    __slots__ = ("_pid", "loop")

    def __init__(self) -> None:
        """Belong to the loop that runs here."""
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._pid = os.getpid()

    def is_here(self) -> bool:
        """Return whether this is called in the loop."""
        try:
            return self.loop is asyncio.get_running_loop()
        except RuntimeError:
            return False

    async def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call *make* in this loop, await there what it returns, and return its answer here.

        Raises:
            LoopError: If the loop cannot do that.
        """
        self._check()
        call = _Call(make, self.loop)
        answer = asyncio.wrap_future(call.answer)
        try:
            self._send(call)
            await self._watch(call, answer)
        finally:
            answer.cancel()  # does nothing to one that is there
            call.give_up()
        return answer.result()

    def call_sync(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do as `call` does, for a thread without a loop; it waits as long as this loop runs.

        Raises:
            LoopError: If the loop does not run, or ends before it has answered.
        """
        self._check()
        call = _Call(make, self.loop)
        try:
            self._send(call)
            while not concurrent.futures.wait([call.answer], timeout=LOOK_S).done:
                if not self.loop.is_running():
                    call.answer.cancel()
                    raise LoopError(ENDED)
        finally:
            call.give_up()
        return call.answer.result()

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise LoopError(FORKED)
        if self.loop.is_closed():
            raise LoopError(OVER)
        if not self.loop.is_running():
            raise LoopError(RESTING)

    def _send(self, call: "_Call[Any]") -> None:
        try:
            self.loop.call_soon_threadsafe(call.begin, context=contextvars.copy_context())
        except RuntimeError:  # it has been closed since it was looked at
            self._check()
            raise

    async def _watch(self, call: "_Call[Any]", answer: "asyncio.Future[Any]") -> None:
        """Return once *answer* is there; a loop that is blocked, or over, will not give one."""
        waited_s = 0.0
        while not (await asyncio.wait({answer}, timeout=LOOK_S))[0]:
            waited_s += LOOK_S
            if waited_s >= BEGIN_S and call.answer.cancel():
                raise LoopError(BLOCKED)
            if not self.loop.is_running():
                call.answer.cancel()
                raise LoopError(ENDED)


class _Call(Generic[T]):
    """One call, on its way to the loop in which it is made."""

    def __init__(
        self, make: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._make = make
        self._loop = loop
        self._job: asyncio.Task[T] | None = None

    def begin(self) -> None:
        """Make the call, unless it was given up; runs in its loop."""
        if self.answer.set_running_or_notify_cancel():
            self._job = self._loop.create_task(self._make())
            self._job.add_done_callback(self._tell)

    def give_up(self) -> None:
        """Cancel the call if it has no answer yet."""
        if not self.answer.cancel() and not self.answer.done():
            with suppress(RuntimeError):  # the loop is closed, and has cancelled it
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _tell(self, job: "asyncio.Task[T]") -> None:
        if job.cancelled():
            ended = job.cancelling()  # else it has cancelled itself
            self.answer.set_exception(LoopError(ENDED) if ended else asyncio.CancelledError())
        elif (error := job.exception()) is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(job.result())
