"""An event loop in a separate thread, for callers that have none."""

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

POLL_S: Final = 1.0
"""Time between two checks that the thread still runs."""

START_TIMEOUT_S: Final = 30.0
"""Longest time until the loop of a new thread runs."""

JOIN_POLL_S: Final = 0.005

THREAD_NAME: Final = "pyasynq"

FORKED: Final = "is in the process that this one was forked from"
ITSELF: Final = "cannot wait for itself: middleware and codecs need another client"
ENDED: Final = "has ended; the call may have been made"
ENDING: Final = "has ended with the interpreter: make the call before that"
NEVER_BEGUN: Final = "did not begin"
EVENTLET: Final = (
    "has to be a real one, and eventlet has replaced threads: use gevent, or threads (for gunicorn "
    "-k gthread), or leave them as they are (eventlet.monkey_patch(thread=False))"
)


_at_exit: "WeakSet[LoopThread]" = WeakSet()
"""Real threads beside gevent, which must end before the interpreter; daemon threads need not."""


class LoopThread:
    """Runs an event loop in a thread until `close`. A forked child does not have the thread."""

    def __init__(self, cleanup: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start the thread.

        Args:
            cleanup: Makes a coroutine that the loop awaits last, however the thread ends.

        Raises:
            ThreadError: If this program cannot have such a thread.
        """
        self._pid = os.getpid()
        self._running = True
        self._cleanup = cleanup
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._started: concurrent.futures.Future[asyncio.AbstractEventLoop] = (
            concurrent.futures.Future()
        )
        self._thread = _make_thread(self._run)
        if isinstance(self._thread, _RealThread):
            _at_exit.add(self)
        self._thread.start()
        try:
            self._loop = self._started.result(START_TIMEOUT_S)
        except TimeoutError:
            raise ThreadError(NEVER_BEGUN) from None

    @property
    def alive(self) -> bool:
        """Whether the loop accepts calls from this process."""
        return self._running and self._pid == os.getpid()

    def send(self, call: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        """Await *call* in the thread; return the future of its answer."""
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        self._calls.add(answer)
        return answer

    def wait(self, answer: "concurrent.futures.Future[T]") -> T:
        """Return the result of *answer* once it has one; an interruption cancels the call.

        Raises:
            ThreadError: If it will never have one.
        """
        with suppress(RuntimeError):  # most callers have no loop
            if asyncio.get_running_loop() is self._loop:
                answer.cancel()
                raise ThreadError(ITSELF)
        try:
            while not answer.done():
                self._check_usable()
                with suppress(TimeoutError):  # of this wait; one of the call is raised below
                    return answer.result(POLL_S)
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
        """Stop the thread once all calls are answered, and wait for its end."""
        if not self.alive or sys.is_finalizing():
            return
        for call in self._calls.copy():
            while not call.done() and self.alive:
                concurrent.futures.wait([call], POLL_S)
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Make the loop stop; do not wait for that."""
        if self.alive:
            with suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._loop.stop)

    def stop_now(self) -> None:
        """Stop the thread at the end of the process, also while calls wait for answers."""
        self.stop()
        self._thread.join(POLL_S)

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            raise ThreadError(FORKED)
        if not self._running:
            raise ThreadError(ENDED)
        if sys.is_finalizing():
            raise ThreadError(ENDING)

    def _run(self) -> None:
        try:
            loop = asyncio.SelectorEventLoop(_make_selector())
        except BaseException as error:  # noqa: BLE001 - raised in `__init__`, which waits for it
            self._started.set_exception(error)
            return
        self._started.set_result(loop)
        try:
            loop.run_forever()
        finally:
            self._running = False
            loop.run_until_complete(_cancel_all(self._cleanup()))
            loop.close()


async def _cancel_all(cleanup: Coroutine[Any, Any, None]) -> None:
    """Cancel the tasks left in the loop, so that their callers get an answer; await *cleanup*."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for job in left:
        job.cancel()
    if left:
        await asyncio.wait(left, timeout=POLL_S)
    await cleanup


def check_threads() -> None:
    """Check that a thread can run beside the caller.

    Raises:
        ThreadError: Under eventlet, whose threads run only while the caller waits.
    """
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        raise ThreadError(EVENTLET)


def _make_thread(run: Callable[[], None]) -> "threading.Thread | _RealThread":
    check_threads()
    if _gevent_monkey() is not None:
        return _RealThread(run)
    return threading.Thread(target=run, name=THREAD_NAME, daemon=True)


def _stop_all() -> None:
    for thread in list(_at_exit):
        thread.stop_now()


atexit.register(_stop_all)


class _RealThread:
    """A real thread where gevent has replaced threads by greenlets."""

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._alive = True

    def start(self) -> None:
        # Import here what a hub imports: two threads that import it at once would need a hub.
        _ = sys.modules["gevent"].get_hub().resolver
        _gevent_monkey().get_original("_thread", "start_new_thread")(self._run, ())

    def join(self, timeout: float = math.inf) -> None:
        until = time.monotonic() + timeout
        while self._alive and time.monotonic() < until:
            time.sleep(JOIN_POLL_S)

    def _run(self) -> None:
        try:
            self._target()
        finally:
            sys.modules["gevent"].get_hub().destroy(destroy_loop=True)
            self._alive = False


def _make_selector() -> selectors.BaseSelector:
    """Return a selector for a loop in this thread.

    It is no epoll: a forked child shares an epoll, and its clean-up would remove the descriptors of
    the parent.
    """
    poll = getattr(selectors, "PollSelector", None)
    return selectors.DefaultSelector() if poll is None or _gevent_monkey() is not None else poll()


def _gevent_monkey() -> Any:  # noqa: ANN401 - gevent's module
    """Return ``gevent.monkey``, which knows the real threads, if gevent has replaced threads.

    A real thread has its own hub, which gevent's selector lets run. A greenlet that waits for an
    answer lets other greenlets run.
    """
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None
