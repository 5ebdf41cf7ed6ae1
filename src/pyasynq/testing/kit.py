"""What `Tasks` and `SyncTasks` have in common: the memory, the clock, and the app under test."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Unpack

from pyasynq.app import App, TypedTask
from pyasynq.broker import NewTask, replacing_all
from pyasynq.client import Client
from pyasynq.client.middleware import run_without_waiting
from pyasynq.core.compose import Composer, Pending
from pyasynq.core.errors import OptionError, PyasynqError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import LONGEST, check_known
from pyasynq.core.task import Task, check_task
from pyasynq.runtime import calls
from pyasynq.server import Mux, Server, ServerOptions
from pyasynq.server.config import Config
from pyasynq.testing.clock import TravelClock
from pyasynq.testing.memory import Memory
from pyasynq.testing.runs import Drained, Ran
from pyasynq.testing.stepper import Stepper

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pyasynq.core.control import NotAwaitedError
    from pyasynq.outbox import Outbox

MOST_RUNS: Final = 1000
"""Runs of a drain, if the test allows no other number."""

MOST_TICKS: Final = 1000

DEEPEST: Final = 30
"""Tasks that may run inside of each other."""

NO_WAIT: Final = "this memory is never locked"

OUTSIDE: Final = "these tasks are there inside of their block: async with Tasks(app) as tasks"

NO_APP: Final = (
    "there is nothing to run tasks with: write Tasks(app), or define the fixture pyasynq_app, or "
    "the setting pyasynq_app = shop.tasks:app of pytest"
)

_depth: ContextVar[int] = ContextVar("pyasynq_testing_depth", default=0)


class Kit:
    """The memory and the clock of a test, and what is done with them.

    Attributes:
        clock: The clock of the test.
        config: Settings of the server whose work `drain` does.
        ran: All runs so far, oldest first.
        forgotten: Calls that nobody has awaited.
    """

    def __init__(
        self,
        app: App | Mux | None,
        options: ServerOptions,
        *,
        now: datetime | None,
        make_executor: Callable[[int], Executor],
    ) -> None:
        """Test *app*; see `Tasks`.

        *make_executor* gets a number of threads, and makes what plain functions run in.

        Raises:
            OptionError: If *app* or an option cannot be used.
            TypeError: If an option is unknown.
        """
        check_known(options, ("inline", "now", *ServerOptions.__annotations__))
        if app is not None and not isinstance(app, App | Mux):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("app", app, "an App or a Mux")
        self.clock: TravelClock = _clock_of(now, options)
        self.ran: list[Ran] = []
        self.forgotten: list[NotAwaitedError] = []
        self._app = app if isinstance(app, App) else None
        self._mux = app.mux if isinstance(app, App) else app
        self._options = options
        served = options if self._app is None else self._app.server_options(**options)
        self.config: Config = Config.of({**served, "clock": self.clock})
        self._make_executor = make_executor
        self._executor: Executor
        self._memory: Memory | None = None
        self._scratch: Memory | None = None
        self._steppers: dict[Memory, Stepper] = {}
        self._clients: dict[asyncio.AbstractEventLoop | None, Client] = {}
        self._ticked_at = self.clock.now()
        self._inline = False

    @property
    def memory(self) -> Memory:
        """Where the tasks are.

        Raises:
            PyasynqError: Outside of the block of the test.
        """
        if self._memory is None:
            raise PyasynqError(OUTSIDE)
        return self._memory

    @property
    def types(self) -> dict[str, TypedTask[..., Any]]:
        """The typed tasks of the app, by type."""
        return {} if self._app is None else self._app.tasks

    def waiting(self) -> list[TaskInfo]:
        """Return the tasks that wait to run, by queue and state."""
        return run_without_waiting(self.memory.waiting(self.config.codecs), NO_WAIT)

    # -- the block of a test -----------------------------------------------------------------------

    @contextmanager
    def entered(self) -> Generator[None]:
        """While the block runs, keep all tasks of the process in the memory.

        Raises:
            NotAwaitedError: At its end, if a call was never awaited.
            PyasynqError: If the tasks of the process are in another memory already.
        """
        note = self.forgotten.append
        with ExitStack() as stack:
            memory = self._memory = Memory(self.clock)
            self._executor = self._make_executor(self.config.threads)
            stack.callback(self._close)
            stack.enter_context(replacing_all(memory.broker))
            stack.enter_context(self.clock.everywhere())
            self._ticked_at = self.clock.now()
            self.ran.clear()
            self.forgotten.clear()
            if self._mux is not None:
                self._stepper(memory)  # it knows when the memory was empty
            if self._app is not None:
                stack.enter_context(self._app.clients.lending(self.client))
            calls.on_forgotten.append(note)
            stack.callback(calls.on_forgotten.remove, note)
            yield
        if self.forgotten:
            raise self.forgotten[0]

    def _close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        for memory in (self._memory, self._scratch):
            if memory is not None:
                run_without_waiting(memory.broker.aclose(), NO_WAIT)
        self._memory = self._scratch = None
        self._steppers.clear()
        self._clients.clear()

    @contextmanager
    def inline(self) -> Generator[None]:
        """While the block runs, run each task before its ``enqueue`` returns; see `Tasks.inline`.

        Raises:
            PyasynqError: Without an app.
        """
        stepper = self._stepper(self.memory)
        before, self._inline = self._inline, True
        with self.memory.calling(lambda: _run_inline(stepper)):
            try:
                yield
            finally:
                self._inline = before

    def client(self) -> Client:
        """Return the client of this event loop, or of code without one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop not in self._clients:
            app, broker = self._app, self.memory.broker
            self._clients[loop] = Client(broker) if app is None else app.new_client(broker)
        return self._clients[loop]

    # -- running -----------------------------------------------------------------------------------

    async def drain(
        self, queues: Collection[str] | None, *, most: int, raises: bool, travel: bool
    ) -> Drained:
        """Run what is due; see `Tasks.drain`."""
        if isinstance(queues, str):
            raise OptionError("queues", queues, "a list of names")
        stepper = self._stepper(self.memory)
        return Drained(runs=await stepper.drain(queues, most=most, raises=raises, travel=travel))

    async def perform(self, task: Task, retried: int) -> object:
        """Run *task* in a memory of its own; see `Tasks.perform`."""
        check_task(task)
        composed = Composer(self.config.codecs).compose(
            task, task.options, now=self.clock.now(), task_id=str(uuid.uuid4())
        )
        message = composed.plan.message
        message.retried = retried
        memory = self._scratch = self._scratch or Memory(self.clock)
        pending = NewTask(Pending(message=message, lock=None))
        for refusal in await memory.broker.creation.create([pending]):
            if isinstance(refusal, Exception):
                raise refusal
        try:
            ran = await self._stepper(memory).run_one(message.queue)
        except BaseException:
            self._scratch = None  # the task of a run that was cancelled is pending there again
            raise
        if ran.error is not None:
            raise ran.error
        return ran.value

    async def travel_to(self, instant: datetime) -> None:
        """Move the clock; see `Tasks.travel_to`."""
        self.clock.travel_to(instant)
        await asyncio.sleep(0)  # those who waited on the clock go on
        if self._mux is not None:
            stepper = self._stepper(self.memory)
            await stepper.end_what_is_over()
            if self._inline:
                await stepper.drain(None, most=MOST_RUNS, raises=True, travel=False)

    async def tick(self) -> list[TaskInfo]:
        """Enqueue what the app's periodic tasks owe; see `Tasks.tick`."""
        if self._app is None:
            raise PyasynqError(NO_APP)
        enqueued: list[TaskInfo] = []

        async def keep(_task: Task, outcome: TaskInfo | PyasynqError) -> None:
            if isinstance(outcome, TaskInfo):
                enqueued.append(outcome)

        now = self.clock.now()
        # Its clock goes from tick to tick, as if it had run all the time.
        clock = TravelClock(self._ticked_at)
        scheduler = self._app.scheduler(self.memory.broker, clock=clock, post_enqueue=keep)
        await scheduler.tick()  # entries that are new begin where the last call of this ended
        for _ in range(MOST_TICKS):
            upcoming = scheduler.upcoming
            if upcoming is None or upcoming > now:
                self._ticked_at = now
                return enqueued
            clock.travel_to(upcoming)
            await scheduler.tick()
        msg = f"more than {MOST_TICKS} ticks are due since {self._ticked_at}: travel less far"
        raise PyasynqError(msg)

    @asynccontextmanager
    async def worker(self, **options: Unpack[ServerOptions]) -> AsyncGenerator[Server]:
        """Run a server while the block runs; see `Tasks.worker`."""
        given: ServerOptions = {"lease": LONGEST, **self._options, **options}
        if self._app is not None:
            server = self._app.server(**given)
        else:
            server = Server(self.memory.broker, handler=self._need_mux(), **given)
        async with server.running():
            yield server

    async def relay(self, outbox: "Outbox", engine: "AsyncEngine") -> None:
        """Move the committed rows of *outbox* to their queues; see `Tasks.relay`."""
        from pyasynq.outbox import Relay

        await Relay(outbox, engine, self.client()).step()

    def _stepper(self, memory: Memory) -> Stepper:
        if memory not in self._steppers:
            self._steppers[memory] = Stepper(
                memory.broker,
                self._need_mux(),
                self.config,
                self.clock,
                executor=self._executor,
                report=self.ran.append,
            )
        return self._steppers[memory]

    def _need_mux(self) -> Mux:
        if self._mux is None:
            raise PyasynqError(NO_APP)
        return self._mux


async def _run_inline(stepper: Stepper) -> None:
    depth = _depth.get()
    if depth >= DEEPEST:
        msg = (
            f"tasks enqueue each other {DEEPEST} deep, each inside of the other: use drain() "
            "instead of inline, which runs one after the other"
        )
        raise PyasynqError(msg)
    token = _depth.set(depth + 1)
    try:
        await stepper.run_pending(most=MOST_RUNS)
    finally:
        _depth.reset(token)


def _clock_of(now: datetime | None, options: ServerOptions) -> TravelClock:
    clock = options.get("clock")
    if clock is None:
        return TravelClock(now)
    if not isinstance(clock, TravelClock) or now is not None:
        allowed = "a TravelClock" if now is None else "left out when now is given"
        raise OptionError("clock", clock, allowed)
    return clock
