"""Test code without an event loop that enqueues and runs tasks."""

import asyncio
from collections.abc import Collection, Coroutine, Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, overload

from pyasynq.app import App, TypedTask
from pyasynq.core.info import TaskInfo
from pyasynq.core.task import Task
from pyasynq.runtime.loop_thread import LoopThread
from pyasynq.server import Mux, Server, ServerOptions
from pyasynq.testing.arguments import build_call, span_of
from pyasynq.testing.assertions import Assertions
from pyasynq.testing.caller_thread import CallerThread, handler_threads
from pyasynq.testing.kit import MOST_RUNS, Kit
from pyasynq.testing.runs import Drained

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pyasynq.outbox import Outbox

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class SyncTasks(Assertions):
    """`Tasks` for tests without an event loop: of scripts, Django and Flask.

    Handlers run in an event loop in another thread, but plain functions in the thread of the test
    while it waits in `drain` or `perform`: so they see the test's transaction. In a ``TestCase``:
    ``self.tasks = self.enterContext(SyncTasks(app))``.
    """

    def __init__(
        self,
        app: App | Mux | None = None,
        *,
        inline: bool = False,
        now: datetime | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        """Test *app*; see `Tasks`.

        Raises:
            OptionError: If an argument cannot be used.
            TypeError: If an option is unknown.
        """
        super().__init__(Kit(app, options, now=now, make_executor=self._make_caller), inline=inline)
        self._caller: CallerThread
        self._thread: LoopThread | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the tasks, and use the brokers of the program again.

        Raises:
            NotAwaitedError: If a call was never awaited.
        """
        if self._thread is not None:
            self._thread.close()
            self._thread = None
        super().__exit__(kind, error, traceback)

    def drain(
        self,
        *,
        queues: Collection[str] | None = None,
        most: int = MOST_RUNS,
        raises: bool = True,
        travel: bool = False,
    ) -> Drained:
        """Run all tasks that are due, and those that they enqueue; see `Tasks.drain`."""
        return self._call(self._kit.drain(queues, most=most, raises=raises, travel=travel))

    @overload
    def perform(self, task: TypedTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def perform(
        self,
        task: TypedTask[..., R],
        /,
        *args: Any,  # noqa: ANN401 - with `retried` no type can say what the function takes
        retried: int,
        **kwargs: Any,  # noqa: ANN401
    ) -> R: ...
    @overload
    def perform(self, task: Task, /, *, retried: int = 0) -> object: ...
    def perform(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run one call as a worker does, and return what it returns; see `Tasks.perform`."""
        return self._call(self._kit.perform(*build_call(task, args, kwargs)))

    def advance(self, by: timedelta | None = None, **span: float) -> None:
        """Move the clock by a `timedelta`, or by ``hours=1`` for instance; see `Tasks.advance`."""
        self.travel_to(self.now + span_of(by, span))

    def travel_to(self, instant: datetime) -> None:
        """Move the clock forward to *instant*; see `Tasks.travel_to`."""
        self._call(self._kit.travel_to(instant))

    def tick(self) -> list[TaskInfo]:
        """Enqueue what a scheduler would have enqueued since the last `tick`; see `Tasks.tick`."""
        return self._call(self._kit.tick())

    def relay(self, outbox: "Outbox", engine: "AsyncEngine") -> None:
        """Move the committed rows of *outbox* to their queues; see `Tasks.relay`."""
        self._call(self._kit.relay(outbox, engine))

    @contextmanager
    def worker(self, **options: Unpack[ServerOptions]) -> Generator[Server]:
        """Run a real server while the block runs; see `Tasks.worker`."""
        thread, started, stop = self._loop_thread(), Future[Any](), asyncio.Event()

        async def serve() -> None:
            async with self._kit.worker(**options) as server:
                started.set_result(server)
                await stop.wait()

        async def end() -> None:
            stop.set()

        serving = thread.send(serve())
        wait({started, serving}, return_when=FIRST_COMPLETED)
        if not started.done():
            serving.result()  # raises why it did not start
        try:
            yield started.result()
        finally:
            self._call(end())
            self._caller.wait(lambda: serving)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        thread = self._loop_thread()
        return self._caller.wait(lambda: thread.send(work))

    def _make_caller(self, threads: int) -> CallerThread:
        self._caller = CallerThread(handler_threads(threads))
        return self._caller

    def _loop_thread(self) -> LoopThread:
        if self._thread is None:
            self._thread = LoopThread(_nothing)
        return self._thread


async def _nothing() -> None: ...
