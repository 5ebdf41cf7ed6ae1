"""The client for code without an event loop."""

import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar, Unpack

from pyasynq.client.client import MAX_PAYLOAD, Client
from pyasynq.client.flow import Flow, Step
from pyasynq.client.middleware import ClientMiddleware
from pyasynq.core.batch import Batch, BatchInfo
from pyasynq.core.codec import Codec
from pyasynq.core.errors import PyasynqError
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions
from pyasynq.core.task import Task
from pyasynq.runtime.sync_calls import SyncCalls

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
        self._calls = SyncCalls(
            functools.partial(
                Client, broker, max_payload=max_payload, middleware=middleware, codecs=codecs
            )
        )

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._calls.closed

    def enqueue(self, task: Task, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """Enqueue *task*; see `Client.enqueue`."""
        return self._calls.call(lambda client: client.enqueue(task, **options))

    def enqueue_many(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[TaskInfo | PyasynqError]:
        """Enqueue *tasks* in batches; see `Client.enqueue_many`."""
        return self._calls.call(lambda client: client.enqueue_many(tasks, **options))

    def enqueue_all(self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]) -> list[str]:
        """Enqueue all *tasks*, or none of them; see `Client.enqueue_all`."""
        return self._calls.call(lambda client: client.enqueue_all(tasks, **options))

    def enqueue_batch(self, batch: Batch) -> BatchInfo:
        """Enqueue the tasks of *batch*, all or none; see `Client.enqueue_batch`."""
        return self._calls.call(lambda client: client.enqueue_batch(batch))

    def enqueue_flow(self, flow: Flow) -> FlowInfo:
        """Store *flow* and start its first steps; see `Client.enqueue_flow`."""
        return self._calls.call(lambda client: client.enqueue_flow(flow))

    def signal(
        self, flow: FlowInfo | str, gate: str, value: object = None, *, queue: str | None = None
    ) -> None:
        """Let a flow go on that waits, or will wait, at *gate*; see `Client.signal`."""
        self._calls.call(lambda client: client.signal(flow, gate, value, queue=queue))

    def result(
        self,
        info: TaskInfo | Step[Any] | str,
        *,
        queue: str | None = None,
        timeout: timedelta | None = None,
    ) -> bytes:
        """Wait for the result of a task or step; see `Client.result`."""
        return self._calls.call(lambda client: client.result(info, queue=queue, timeout=timeout))

    def call(self, make: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Await what *make* returns for the asyncio client below, in its loop; return the result.

        For calls that this class does not have.
        """
        return self._calls.call(make)

    def ping(self) -> None:
        """Return when the broker answers; see `Client.ping`."""
        self._calls.call(lambda client: client.ping())

    def close(self) -> None:
        """Close the connections and end the thread, after other threads' calls are answered.

        Closing twice does nothing.
        """
        self._calls.close()

    aclose = close

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close the client."""
        self.close()
