"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import atexit
import concurrent.futures
import math
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import WeakSet

from pyasynq.core.errors import ThreadError

T = TypeVar("T")

LOOK_S: Final = 1.0
"""Time between looks at whether the thread that is waited for still lives."""

BEGIN_S: Final = 30.0
"""Longest time until a thread has begun."""

PAUSE_S: Final = 0.005

THREAD_NAME: Final = "pyasynq"

FORKED: Final = "is in the process that this one was forked from"
ITSELF: Final = "cannot wait for itself: middleware and codecs need another client"
ENDED: Final = "has ended; the call may have been made"
ENDING: Final = "is gone, for the interpreter ends: make the call before that"
NEVER_BEGUN: Final = "did not begin"
GREEN: Final = (
    "has to be a real one, and eventlet has replaced threads: use gevent, or threads (for gunicorn "
    "-k gthread), or leave them as they are (eventlet.monkey_patch(thread=False))"
)


_at_exit: "WeakSet[LoopThread]" = WeakSet()
"""Threads that have to end before the interpreter does. Its own daemons stop by themselves."""


class LoopThread:
    """Runs an event loop until it is closed. It does not come along into a forked child."""

    def __init__(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin; what *last* returns is awaited in the end, however the thread ends.

        Raises:
            ThreadError: If there are no threads here.
        """
        self._pid = os.getpid()
        self._runs = True
        self._last = last
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._made: concurrent.futures.Future[asyncio.AbstractEventLoop] = (
            concurrent.futures.Future()
        )
        self._thread = _thread(self._run)
        if isinstance(self._thread, _RealThread):
            _at_exit.add(self)
        self._thread.start()
        try:
            self._loop = self._made.result(BEGIN_S)
        except TimeoutError:
            raise ThreadError(NEVER_BEGUN) from None

    @property
    def alive(self) -> bool:
        """Whether calls can be made in it."""
        return self._runs and self._pid == os.getpid()

    def send(self, call: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        """Have *call* awaited in the thread; return the future of its answer."""
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        self._calls.add(answer)
        return answer

    def wait(self, answer: "concurrent.futures.Future[T]") -> T:
        """Return *answer* once it is there; who is interrupted gives the call up.

        Raises:
            ThreadError: If there will be none.
        """
        with suppress(RuntimeError):  # most callers have no loop
            if asyncio.get_running_loop() is self._loop:
                answer.cancel()
                raise ThreadError(ITSELF)
        try:
            while not answer.done():
                self._check()
                with suppress(TimeoutError):  # ours, or the answer, which the last line raises
                    return answer.result(LOOK_S)
            return answer.result()
        except concurrent.futures.CancelledError:
            raise ThreadError(ENDED) from None
        except BaseException:
            if self.alive:
                answer.cancel()
            raise
        finally:
            self._calls.discard(answer)

    def close(self) -> None:
        """End once all calls are answered."""
        if not self.alive or sys.is_finalizing():
            return
        for call in self._calls.copy():
            while not call.done() and self.alive:
                concurrent.futures.wait([call], LOOK_S)
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """End soon."""
        if self.alive:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._loop.stop)

    def end(self) -> None:
        """End now, whatever is in flight, at the end of the process."""
        self.stop()
        self._thread.join(LOOK_S)

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise ThreadError(FORKED)
        if not self._runs:
            raise ThreadError(ENDED)
        if sys.is_finalizing():
            raise ThreadError(ENDING)

    def _run(self) -> None:
        try:
            loop = asyncio.SelectorEventLoop(_selector())
        except BaseException as error:  # noqa: BLE001 - told to who waits for it
            self._made.set_exception(error)
            return
        self._made.set_result(loop)
        try:
            loop.run_forever()
        finally:
            self._runs = False
            loop.run_until_complete(_over(self._last()))
            loop.close()


async def _over(last: Coroutine[Any, Any, None]) -> None:
    """Cancel what is left in the loop, so that who waits for it is told; then await *last*."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for job in left:
        job.cancel()
    if left:
        await asyncio.wait(left, timeout=LOOK_S)
    await last


def check_threads() -> None:
    """Refuse to work where nothing can run beside the caller.

    Raises:
        ThreadError: Under eventlet, whose threads take turns with the caller.
    """
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        raise ThreadError(GREEN)


def _thread(run: Callable[[], None]) -> "threading.Thread | _RealThread":
    check_threads()
    if _monkey() is not None:
        return _RealThread(run)
    return threading.Thread(target=run, name=THREAD_NAME, daemon=True)


def _end_all() -> None:
    for thread in list(_at_exit):
        thread.end()


atexit.register(_end_all)


class _RealThread:
    """A thread where gevent has put greenlets in the place of threads."""

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._alive = True

    def start(self) -> None:
        # What hubs import is imported here: their import lock needs a hub, if two threads want it.
        _ = sys.modules["gevent"].get_hub().resolver
        _monkey().get_original("_thread", "start_new_thread")(self._run, ())

    def join(self, timeout: float = math.inf) -> None:
        until = time.monotonic() + timeout
        while self._alive and time.monotonic() < until:
            time.sleep(PAUSE_S)

    def _run(self) -> None:
        try:
            self._target()
        finally:
            sys.modules["gevent"].get_hub().destroy(destroy_loop=True)
            self._alive = False


def _selector() -> selectors.BaseSelector:
    """Return what a loop in the running thread waits with.

    An epoll would be shared with a child, whose cleaning up would deafen the parent.
    """
    poll = getattr(selectors, "PollSelector", None)
    return selectors.DefaultSelector() if poll is None or _monkey() is not None else poll()


def _monkey() -> Any:  # noqa: ANN401 - gevent's module
    """Return what knows the real threads if gevent has put greenlets in their place.

    A real thread has a hub of its own there, and gevent's selector lets that run; and whoever waits
    for an answer lets other greenlets run.
    """
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None
