"""Calls of asynchronous objects from code without an event loop."""

import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from pyasynq.core.errors import ClientClosedError
from pyasynq.runtime.forks import notify_on_fork
from pyasynq.runtime.loop_thread import LoopThread, check_threads

T = TypeVar("T")


class Closable(Protocol):
    """An object with connections."""

    async def aclose(self) -> None:
        """Close them."""
        ...


C = TypeVar("C", bound=Closable)


class SyncCalls(Generic[C]):
    """Calls an asynchronous object in a loop in a thread, which the first call starts.

    Threads and gevent's greenlets may share it. After a fork, both processes may use it; calls that
    were in flight belong to the parent.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        """Call the object that *make* returns; it is called once now, and again after a fork.

        Raises:
            ThreadError: Under eventlet, which has no real threads.
        """
        check_threads()
        self._make = make
        self._target = make()
        self._thread: LoopThread | None = None
        self._closed = False
        notify_on_fork(self)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def call(self, make: Callable[[C], Coroutine[Any, Any, T]]) -> T:
        """Await the coroutine that *make* returns for the object; return its result.

        Raises:
            ClientClosedError: After `close`.
            ThreadError: If the thread cannot answer.
        """
        with self._lock():
            if self._closed:
                raise ClientClosedError
            thread = self._live_thread()
            answer = thread.send(make(self._target))
        return thread.wait(answer)

    def close(self) -> None:
        """Close the object and end the thread, after other threads' calls are answered.

        Closing twice does nothing.
        """
        with self._lock():
            closed, self._closed = self._closed, True
        if not closed and self._thread is not None:
            self._thread.close()

    def after_fork(self) -> None:
        """Take a new lock in a child process: its thread does not exist there."""
        vars(self).pop("_made_lock", None)

    def _lock(self) -> threading.Lock:
        # The first call makes it, and not the fork: gunicorn replaces threads by greenlets after
        # its fork, and a real lock that a waiting greenlet holds would stop all others.
        made: threading.Lock = vars(self).setdefault("_made_lock", threading.Lock())
        return made

    def _live_thread(self) -> LoopThread:
        """Return the thread; a new one, with a new object, if it has died."""
        if self._thread is None or not self._thread.alive:
            if self._thread is not None:
                self._target = self._make()
            self._thread = LoopThread(self._target.aclose)
            weakref.finalize(self, self._thread.stop).atexit = False
        return self._thread
