"""Typed tasks: functions that are declared once, enqueued by their arguments, run by workers."""

import asyncio
import functools
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
    Set,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Self,
    TypeVar,
    Unpack,
    cast,
)

from pyasynq.app.address import Address, address_of
from pyasynq.app.typed_task import Declare, Periodic, PlainTask, TypedTask
from pyasynq.broker import BrokerAddress, check_address
from pyasynq.client import Chain, Client, ClientMiddleware
from pyasynq.core.errors import OptionError, PyasynqError
from pyasynq.core.options import (
    DEFAULT_QUEUE,
    EnqueueOptions,
    Options,
    TaskOptions,
    check_known,
)
from pyasynq.core.task import Task
from pyasynq.runtime.callbacks import check_function
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import is_async
from pyasynq.scheduler import CatchUp, PeriodicTask, Scheduler, SchedulerOptions, check
from pyasynq.server import (
    GroupAggregator,
    Middleware,
    Mux,
    Server,
    ServerOptions,
)
from pyasynq.server.config import Config
from pyasynq.server.mux import is_plain

if TYPE_CHECKING:
    from pyasynq.core.codec import Codec
    from pyasynq.inspector import Inspector

log: Final = get_logger("pyasynq.server")

G = TypeVar("G", bound=GroupAggregator)
Make = Callable[["App", str, Callable[..., Any], Options], "TypedTask[..., Any]"]
Lifespan = Callable[["App"], AsyncIterator[Mapping[str, Any] | None]]


class _Opened:
    """The client of one event loop, and how many have it open."""

    __slots__ = ("client", "users")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.users = 0


class App:
    """Tasks, their client, their servers and their schedulers, declared in one place.

    Attributes:
        mux: Handlers of the declared tasks; others may be added.
        tasks: The declared tasks, by type.
        state: What the lifespan yielded.
    """

    def __init__(
        self, broker: "BrokerAddress | None" = None, **options: Unpack[ServerOptions]
    ) -> None:
        """Use *broker* for clients, servers and schedulers.

        Args:
            broker: A URL, a bare ``host:port``, or a redis-py asyncio client; None for what the
                environment variable ``PYASYNQ_URI`` names when it is needed, else
                ``redis://127.0.0.1:6379``.
            **options: Defaults for the servers this app makes; see `ServerOptions`. Its clients and
                schedulers have its *client_middleware* and *codecs*, too.

        Raises:
            OptionError: If *broker* is in no form that there is, or an option cannot work.
            TypeError: If an option is unknown.
        """
        check_known(options, ServerOptions.__annotations__)
        Config.of(options)  # refuses bad ones here, not when a server is made
        if broker is not None:
            check_address(broker)
        self.mux: Mux = Mux()
        self.tasks: dict[str, TypedTask[..., Any]] = {}
        self.state: dict[str, Any] = {}
        self._broker = broker
        self._options = options
        self._client_middleware = Chain.of(options.get("client_middleware", ()))
        self._codecs: Sequence[Codec] = options.get("codecs", ())
        self._periodic: list[PeriodicTask] = []
        self._clients: dict[asyncio.AbstractEventLoop, _Opened] = {}
        self._queues: dict[str, set[str]] = {}
        self._grouped: set[str] = set()
        self._lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext

    @property
    def address(self) -> Address:
        """Where Redis is, and who says so."""
        return address_of(self._broker)

    @property
    def client(self) -> Client:
        """The client that is open in this event loop, else one that is open in another thread's.

        Raises:
            PyasynqError: Outside ``async with app`` and outside this app's workers.
        """
        opened = self._here() or self._elsewhere()
        if opened is None:
            msg = "the app has no open client: enqueue inside `async with app:`"
            if self._clients:
                msg += ", opened in this event loop: the one in which it was opened does not run"
            raise PyasynqError(msg)
        return opened.client

    def _here(self) -> "_Opened | None":
        try:
            return self._clients.get(asyncio.get_running_loop())
        except RuntimeError:
            return None

    def _elsewhere(self) -> "_Opened | None":
        running = [it for loop, it in [*self._clients.items()] if loop.is_running()]
        return running[-1] if running else None

    def task(self, type: str, **options: Unpack[TaskOptions]) -> Declare:
        """Return a decorator that makes a function the task of *type*.

        Args:
            type: Task type. Workers run the function for tasks of exactly this type.
            **options: Defaults for every enqueueing; see `TaskOptions`.

        Raises:
            OptionError: If *type* is blank, or is taken, or an option is not allowed.
            TypeError: If an option is unknown, or the function cannot be a task.
        """
        if callable(type):
            msg = 'app.task needs the type of the task: write @app.task("email:welcome")'
            raise TypeError(msg)
        if type in self.mux.patterns:
            raise OptionError("type", type, "one that is not taken: this app has such a task")
        defaults = Task(type, **options).options  # refuses bad ones here, not at the first call

        def declare(function: Callable[..., Any]) -> TypedTask[..., Any]:
            if isinstance(function, TypedTask):
                msg = f"{function!r} is a task already: @app.periodic stands above @app.task"
                raise TypeError(msg)
            check_function(function, f"the task {type!r}", "(its parameters)")
            make = cast("Make", TypedTask if is_async(function) else PlainTask)
            task = make(self, type, function, defaults)
            self.mux.add(type, task.handle, exact=True, plain=is_plain(function))
            self.tasks[type] = task
            self._queues.setdefault(defaults.queue or DEFAULT_QUEUE, set()).add(type)
            if defaults.group:
                self._grouped.add(type)
            return task

        return cast("Declare", declare)

    def periodic(
        self, spec: str, *, catch_up: CatchUp | None = None, **options: Unpack[EnqueueOptions]
    ) -> Periodic:
        """Return a decorator that has a task enqueued at the ticks of *spec*, without arguments.

        It stands above `task`; alone, it makes a function a task that is called as the function is.

        Args:
            spec: Cron text; see `Scheduler.register`.
            catch_up: What becomes of missed ticks, if not what the scheduler says.
            **options: Options of each enqueueing; they win over the task's own.

        Raises:
            OptionError: If the spec or an option cannot work.
            TypeError: If the task needs arguments: register it with a `Scheduler` then.
        """

        def declare(function: Callable[..., Any]) -> TypedTask[..., Any]:
            task: TypedTask[..., Any] = (
                cast("TypedTask[..., Any]", function)
                if isinstance(function, TypedTask)
                else self.task(function.__name__)(function)
            )
            call = _without_arguments(task)
            wanted = PeriodicTask(spec=spec, task=call, options=options, catch_up=catch_up)
            check(wanted)
            self._periodic.append(wanted)
            return task

        return cast("Periodic", declare)

    def use(self, middleware: Middleware) -> Middleware:
        """Wrap every handler in *middleware*; see `Mux.use`."""
        return self.mux.use(middleware)

    def use_client(self, middleware: ClientMiddleware) -> ClientMiddleware:
        """Call *middleware* around everything that this app enqueues; the first added is outermost.

        It is called as ``await middleware(task, options, call_next)`` for each task of the app's
        client, the ticks of its schedulers, and the tasks that groups become in its servers, from
        now on. It goes on with ``await call_next(task, options)``, may change both, and returns the
        `TaskInfo` that this gives; or it raises. Can be used as a decorator.

        Raises:
            TypeError: If it cannot be called so.
        """
        return self._client_middleware.use(middleware)

    def aggregator(self, aggregator: G) -> G:
        """Let a function combine the tasks of groups; decorates what `ServerOptions` describes.

        Raises:
            OptionError: If the app has one.
        """
        if "group_aggregator" in self._options:
            raise OptionError("group_aggregator", aggregator, "one for the whole app")
        self._options["group_aggregator"] = aggregator
        return aggregator

    def lifespan(self, lifespan: Lifespan) -> Lifespan:
        """Open what handlers share; decorates an ``async def`` that takes the app and yields once.

        It is entered when a server starts and left when it has drained. A mapping that it yields
        updates `state`.

        Raises:
            TypeError: If it is no such function.
        """
        if not callable(lifespan) or _never_yields(lifespan):
            msg = f"a lifespan must be an async def that takes the app and yields, got {lifespan!r}"
            raise TypeError(msg)
        # What yields is a generator, however it is annotated.
        context = asynccontextmanager(cast("Callable[[App], AsyncGenerator[Any]]", lifespan))

        @asynccontextmanager
        async def entered() -> AsyncGenerator[None]:
            async with context(self) as state:
                self.state |= _checked_state(state)
                yield

        self._lifespan = entered
        return lifespan

    def server(
        self, broker: "BrokerAddress | None" = None, **options: Unpack[ServerOptions]
    ) -> Server:
        """Return a server for this app's tasks; *options* win over the app's own.

        While it runs, the app's client is open: tasks may enqueue tasks.

        Args:
            broker: Used from now on instead of the app's own, by client and server.
            **options: See `ServerOptions`.
        """
        self._broker = self._broker if broker is None else broker
        merged: ServerOptions = {
            "unknown": "wait",
            **self._options,
            "client_middleware": self._client_middleware,
            **options,
        }
        served = {*self._options.get("queues", ()), *merged.get("queues", (DEFAULT_QUEUE,))}
        combines = merged.get("group_aggregator") is not None
        merged["lifespan"] = functools.partial(self._working, served, combines=combines)
        return Server(self.address.checked(), handler=self.mux, **merged)

    def scheduler(
        self, broker: "BrokerAddress | None" = None, **options: Unpack[SchedulerOptions]
    ) -> Scheduler:
        """Return a scheduler for this app's periodic tasks.

        Args:
            broker: Used instead of the app's own.
            **options: See `SchedulerOptions`.
        """
        merged: SchedulerOptions = {
            "client_middleware": self._client_middleware,
            "codecs": self._codecs,
            **options,
        }
        scheduler = Scheduler(self.address.checked() if broker is None else broker, **merged)
        for wanted in self._periodic:
            scheduler.add(wanted)
        return scheduler

    def new_client(self, broker: "BrokerAddress | None" = None) -> Client:
        """Return a client with this app's middleware and codecs, for you to close.

        Args:
            broker: Used instead of the app's own.
        """
        address = self.address.checked() if broker is None else broker
        return Client(address, middleware=self._client_middleware, codecs=self._codecs)

    def inspector(self, broker: "BrokerAddress | None" = None) -> "Inspector":
        """Return an inspector that opens what this app's codecs have sealed.

        Args:
            broker: Used instead of the app's own.
        """
        from pyasynq.inspector import Inspector

        address = self.address.checked() if broker is None else broker
        return Inspector(address, codecs=self._codecs)

    async def __aenter__(self) -> Self:
        """Open the client of this event loop, unless a server of this app, say, has opened it."""
        for loop in [loop for loop in [*self._clients] if loop.is_closed()]:
            self._clients.pop(loop, None)  # nobody can leave there any more
        loop = asyncio.get_running_loop()
        opened = self._clients.get(loop)
        if opened is None:
            client = await self.new_client().__aenter__()
            opened = self._clients[loop] = _Opened(client)
        opened.users += 1
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Close the client, if nobody else uses it in this event loop.

        Raises:
            PyasynqError: If the app was opened in another loop.
        """
        loop = asyncio.get_running_loop()
        opened = self._clients.get(loop)
        if opened is None:
            msg = "the app is left in another event loop than the one it was opened in"
            raise PyasynqError(msg)
        opened.users -= 1
        if not opened.users:
            del self._clients[loop]
            await opened.client.aclose()

    @asynccontextmanager
    async def _working(self, served: Set[str], *, combines: bool) -> AsyncGenerator[None]:
        self._log_gaps(served, combines=combines)
        async with self, self._lifespan():
            yield

    def _log_gaps(self, served: Set[str], *, combines: bool) -> None:
        """Log which tasks need somebody else, or will not run at all."""
        if not self.mux.patterns:
            log.warning("the app has no tasks: its module must import those that declare them")
        for queue in self._queues.keys() - served:
            log.warning(
                "tasks of %s go to the queue %r, which neither the app nor this worker listens to",
                ", ".join(sorted(self._queues[queue])),
                queue,
            )
        if self._grouped and not combines:
            types = ", ".join(sorted(self._grouped))
            log.warning("tasks of %s wait in groups for a worker with an aggregator", types)
        if self._periodic:
            count = len(self._periodic)
            log.info("periodic tasks: %d; a scheduler enqueues them (pyasynq scheduler)", count)


def _never_yields(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)


def _checked_state(state: object) -> Mapping[str, Any]:
    if state is None:
        return {}
    if not isinstance(state, Mapping):
        msg = f"a lifespan must yield a mapping, or nothing, got {state!r}"
        raise TypeError(msg)
    return cast("Mapping[str, Any]", state)


def _without_arguments(task: TypedTask[..., Any]) -> Task:
    try:
        return task.task()
    except TypeError as error:
        msg = f"{error}; app.periodic gives none: a default helps, or Scheduler.register"
        raise TypeError(msg) from None
