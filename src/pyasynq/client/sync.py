"""The client for code without an event loop."""

import functools
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar, Unpack

from pyasynq.client.client import MAX_PAYLOAD, Client
from pyasynq.client.middleware import ClientMiddleware
from pyasynq.core.codec import Codec
from pyasynq.core.errors import ClientClosedError, PyasynqError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions
from pyasynq.core.task import Task
from pyasynq.runtime.forks import notify_on_fork
from pyasynq.runtime.loop_thread import LoopThread, check_threads

T = TypeVar("T")


class SyncClient:
    """The client for code without an event loop: scripts, Django, Flask.

    A thin layer over an asyncio `Client` on a loop in a separate thread, which the first call
    starts. Threads and gevent's greenlets may share it. After a fork, both processes may use it;
    calls that were in flight belong to the parent.
    """

    def __init__(
        self,
        broker: str,
        *,
        max_payload: int = MAX_PAYLOAD,
        middleware: Sequence[ClientMiddleware] = (),
        codecs: Sequence[Codec] = (),
    ) -> None:
        """Use the *broker* URL; nothing is sent before the first call.

        Args:
            broker: A URL or a bare ``host:port``.
            max_payload: Largest accepted payload, sealed and with headers, bytes.
            middleware: See `Client`; it runs in the client's own thread.
            codecs: See `Client`.

        Raises:
            OptionError: If the URL or a codec cannot be used.
            TypeError: If a middleware cannot be called as one.
            ThreadError: Under eventlet, which has no real threads.
        """
        check_threads()
        self._make_client = functools.partial(
            Client, broker, max_payload=max_payload, middleware=middleware, codecs=codecs
        )
        self._client = self._make_client()
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()
        self._closed = False
        notify_on_fork(self)

    def enqueue(self, task: Task, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """Enqueue *task*; see `Client.enqueue`."""
        return self._call(lambda client: client.enqueue(task, **options))

    def enqueue_many(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[TaskInfo | PyasynqError]:
        """Enqueue *tasks* in batches; see `Client.enqueue_many`."""
        return self._call(lambda client: client.enqueue_many(tasks, **options))

    def result(
        self,
        info: TaskInfo | str,
        *,
        queue: str | None = None,
        timeout: timedelta | None = None,
    ) -> bytes:
        """Wait for the result of a task; see `Client.result`."""
        return self._call(lambda client: client.result(info, queue=queue, timeout=timeout))

    def ping(self) -> None:
        """Return when the broker answers; see `Client.ping`."""
        self._call(lambda client: client.ping())

    def close(self) -> None:
        """Close the connections and end the thread, after other threads' calls are answered.

        Closing twice does nothing.
        """
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed and self._thread is not None:
            self._thread.close()

    aclose = close

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close the client."""
        self.close()

    def after_fork(self) -> None:
        """Take a new lock in a child process: its thread does not exist there."""
        self._lock = threading.Lock()

    def _call(self, make: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        with self._lock:
            if self._closed:
                raise ClientClosedError
            thread = self._live_thread()
            answer = thread.send(make(self._client))
        return thread.wait(answer)

    def _live_thread(self) -> LoopThread:
        """Return the thread; a new one, with a new client, if it has died."""
        if self._thread is None or not self._thread.alive:
            if self._thread is not None:
                self._client = self._make_client()
            self._thread = LoopThread(self._client.aclose)
            weakref.finalize(self, self._thread.stop).atexit = False
        return self._thread
