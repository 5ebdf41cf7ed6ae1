"""Test asyncio code that enqueues and runs tasks."""

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, overload

from pyasynq.app import App, TypedTask
from pyasynq.core.info import TaskInfo
from pyasynq.core.task import Task
from pyasynq.runtime.calls import must_await
from pyasynq.server import Mux, Server, ServerOptions
from pyasynq.testing.arguments import build_call, span_of
from pyasynq.testing.assertions import Assertions
from pyasynq.testing.caller_thread import handler_threads
from pyasynq.testing.kit import MOST_RUNS, Kit
from pyasynq.testing.runs import Drained

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pyasynq.outbox import Outbox

P = ParamSpec("P")
R = TypeVar("R")


class Tasks(Assertions):
    """The tasks of a test: they are in the memory of the process, and run when the test says so.

    While ``async with Tasks(app)`` runs, every client, app, inspector, scheduler, semaphore and
    relay of the process uses this memory, whatever its address is, and also if it was made before.
    Their clocks stand still until the test moves them.
    """

    def __init__(
        self,
        app: App | Mux | None = None,
        *,
        inline: bool = False,
        now: datetime | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        """Test *app*.

        Args:
            app: Has the handlers; None to record tasks without running them.
            inline: Run each task before its ``enqueue`` returns; see `inline`.
            now: Time at which the clock stands first; None for the real time.
            **options: Settings of the worker, which win over those of the app; see `ServerOptions`.

        Raises:
            OptionError: If an argument cannot be used.
            TypeError: If an option is unknown.
        """
        super().__init__(Kit(app, options, now=now, make_executor=handler_threads), inline=inline)

    async def __aenter__(self) -> Self:
        """Keep the tasks of this process in memory from now on.

        Raises:
            PyasynqError: If another block does so already.
        """
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the tasks, and use the brokers of the program again.

        Raises:
            NotAwaitedError: If a call was never awaited.
        """
        self.__exit__(kind, error, traceback)

    @must_await
    async def drain(
        self,
        *,
        queues: Collection[str] | None = None,
        most: int = MOST_RUNS,
        raises: bool = True,
        travel: bool = False,
    ) -> Drained:
        """Run all tasks that are due, and those that they enqueue, one after another.

        It does what a worker does: handlers run in the app's lifespan, in its middleware, with
        their timeouts; failures are retried after their delay, or archived; groups that are ready
        are combined, and tasks of dead workers recovered. Delayed tasks run once they are due.

        Args:
            queues: Queues to serve; None for all.
            most: Largest number of runs.
            raises: Raise the first error of a task, once its outcome is stored; signals such as
                `SkipRetry` are no errors. If False, go on as a worker would.
            travel: When nothing is due any more, move the clock to the time when the next delayed
                task, retry or group is due, until there is none.

        Raises:
            Exception: The error of a task, or of a group's aggregator, if it *raises*.
            TooManyRunsError: If more tasks are due after *most* runs.
            PyasynqError: Without an app.
        """
        return await self._kit.drain(queues, most=most, raises=raises, travel=travel)

    @overload
    async def perform(self, task: TypedTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def perform(
        self,
        task: TypedTask[..., R],
        /,
        *args: Any,  # noqa: ANN401 - with `retried` no type can say what the function takes
        retried: int,
        **kwargs: Any,  # noqa: ANN401
    ) -> R: ...
    @overload
    async def perform(self, task: Task, /, *, retried: int = 0) -> object: ...
    @must_await
    async def perform(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run one call as a worker does, and return what its function returns.

        The arguments become a payload and are read from it; the function runs in the app's
        lifespan and middleware, with its timeout, and may ask for the `ActiveTask`. Nothing is
        enqueued or retried: its error is raised, signals such as `SkipRetry` too.

        Args:
            task: A typed task, or a `Task`.
            *args: Arguments of the typed task.
            **kwargs: Arguments of the typed task; and *retried*, the retries already spent.

        Raises:
            Exception: The error of the run.
            PyasynqError: Without an app.
        """
        return await self._kit.perform(*build_call(task, args, kwargs))

    @must_await
    async def advance(self, by: timedelta | None = None, **span: float) -> None:
        """Move the clock by a `timedelta`, or by *span*, such as ``hours=1``; see `travel_to`.

        Raises:
            OptionError: If it would go back, or *by* is not a timedelta.
            TypeError: If *span* is not what a timedelta takes.
        """
        await self._kit.travel_to(self.now + span_of(by, span))

    @must_await
    async def travel_to(self, instant: datetime) -> None:
        """Move the clock forward to *instant*.

        Tasks become due, leases and locks end, and tasks whose retention is over are deleted. What
        is due waits for `drain`; in the mode `inline` it runs at once.

        Raises:
            OptionError: If it is in the past of this clock, or has no time zone.
            Exception: In the mode `inline`, the error of a task.
        """
        await self._kit.travel_to(instant)

    @must_await
    async def tick(self) -> list[TaskInfo]:
        """Enqueue what a scheduler would have enqueued since the last `tick`, or since the start.

        Returns:
            The enqueued tasks of the app's periodic tasks, each tick once, oldest first.

        Raises:
            PyasynqError: Without an app, or if more than 1,000 ticks are due.
        """
        return await self._kit.tick()

    @must_await
    async def relay(self, outbox: "Outbox", engine: "AsyncEngine") -> None:
        """Move the committed rows of *outbox* to their queues, as a `Relay` does.

        Raises:
            SQLAlchemyError, OSError: If the database could not be reached.
        """
        await self._kit.relay(outbox, engine)

    @asynccontextmanager
    async def worker(self, **options: Unpack[ServerOptions]) -> AsyncGenerator[Server]:
        """Run a real server while the block runs, for tests of stopping, and of handlers together.

        The clock then follows the server's waits. Its leases are long, so that the clock may be
        moved while handlers run; pass *lease* to test them.

        Args:
            **options: Settings of the server; see `ServerOptions`.

        Raises:
            PyasynqError: Without an app.
        """
        async with self._kit.worker(**options) as server:
            yield server
