"""Typed tasks: functions that are declared once, enqueued with arguments, and run by workers."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, cast

from pyasynq.app.address import Address, address_of
from pyasynq.app.batches import BatchMethods
from pyasynq.app.clients import Clients
from pyasynq.app.coverage import Coverage
from pyasynq.app.flow import FlowMethods
from pyasynq.app.followers import maker_of, makers_of
from pyasynq.app.lifespan import lifespan_context
from pyasynq.app.typed_task import (
    Declare,
    Executor,
    OutcomeTask,
    Periodic,
    PlainTask,
    TypedTask,
    call_without_arguments,
)
from pyasynq.broker import BrokerAddress, check_address
from pyasynq.client import Client, ClientMiddleware, MiddlewareChain, SyncClient
from pyasynq.core.codec import Codec
from pyasynq.core.errors import OptionError
from pyasynq.core.options import (
    DEFAULT_QUEUE,
    EnqueueOptions,
    Options,
    TaskOptions,
    check_known,
)
from pyasynq.core.outcome import Ending, Event
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
from pyasynq.server.hooks import Hooks, OnEvent
from pyasynq.server.mux import place_of

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector, SyncInspector

log: Final = get_logger("pyasynq.server")

E = TypeVar("E", bound=OnEvent)
G = TypeVar("G", bound=GroupAggregator)
Make = Callable[["App", str, Callable[..., Any], Options, Executor | None], "TypedTask[..., Any]"]
Lifespan = Callable[["App"], AsyncIterator[Mapping[str, Any] | None]]


class App(FlowMethods, BatchMethods):
    """Tasks, and the client, servers and schedulers for them, declared in one place.

    Attributes:
        mux: Handlers of the declared tasks; you may add others.
        tasks: The declared tasks, by type.
        periodic_tasks: The declared periodic tasks; add to them with `periodic`.
        state: The mapping that the lifespan yielded.
        clients: The open clients.
    """

    def __init__(
        self, broker: "BrokerAddress | None" = None, **options: Unpack[ServerOptions]
    ) -> None:
        """Use *broker* for clients, servers and schedulers.

        Args:
            broker: A URL, a bare ``host:port``, or a redis-py asyncio client. None for the address
                in the environment variable ``PYASYNQ_URI``, read at each use, or else
                ``redis://127.0.0.1:6379``.
            **options: Defaults for the servers of this app; see `ServerOptions`. Its clients and
                schedulers also use *client_middleware* and *codecs*.

        Raises:
            OptionError: If the form of *broker* is unknown, or an option cannot work.
            TypeError: If an option is unknown.
        """
        check_known(options, ServerOptions.__annotations__)
        Config.of(options)  # refuse wrong options here, not when a server is made
        if broker is not None:
            check_address(broker)
        self.mux: Mux = Mux()
        self.tasks: dict[str, TypedTask[..., Any]] = {}
        self.state: dict[str, Any] = {}
        self.clients: Clients = Clients(self.new_client, self._new_sync_client, self._url)
        self._broker = broker
        self._options = options
        self._hooks = options.get("hooks") or Hooks()
        self._client_middleware = MiddlewareChain.of(options.get("client_middleware", ()))
        self._codecs: Sequence[Codec] = options.get("codecs", ())
        self.periodic_tasks: list[PeriodicTask] = []
        self._coverage = Coverage()
        self._lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext

    @property
    def address(self) -> Address:
        """The address of the broker, and where it comes from."""
        return address_of(self._broker)

    @property
    def codecs(self) -> Sequence[Codec]:
        """What seals and opens the payloads of this app's tasks."""
        return self._codecs

    @property
    def client(self) -> Client:
        """The client that is open in this event loop, or else in the loop of another thread.

        Raises:
            PyasynqError: Outside ``async with app`` and outside this app's workers.
        """
        return self.clients.current()

    @property
    def sync_client(self) -> SyncClient:
        """The client for code without an event loop; see `TypedTask.enqueue_sync`.

        All threads share it. It need not be closed; after ``close()`` there is a new one.

        Raises:
            OptionError: If the app has a redis-py client instead of an address.
        """
        return self.clients.sync()

    def task(
        self,
        type: str,
        *,
        executor: Executor | None = None,
        on_success: OutcomeTask | None = None,
        on_failure: OutcomeTask | None = None,
        **options: Unpack[TaskOptions],
    ) -> Declare:
        """Return a decorator that makes a function the task of *type*.

        Args:
            type: Task type. Workers run the function for tasks of exactly this type.
            executor: ``"process"`` runs a ``def`` in a separate process, which is killed if the
                task is stopped. None for the event loop, or, for a ``def``, a thread.
            on_success: A task that follows each success; see `when`.
            on_failure: A task that follows when the task is archived; see `when`.
            **options: Defaults for each call of ``enqueue``; see `TaskOptions`.

        Raises:
            OptionError: If *type* is blank or already used, or an option is not allowed.
            TypeError: If an option is unknown, or the function cannot be a task, or run there.
        """
        if executor not in {None, "process"}:
            raise OptionError("executor", executor, "'process', or left out")
        if callable(type):
            msg = 'app.task needs the type of the task: write @app.task("email:welcome")'
            raise TypeError(msg)
        if type in self.mux.patterns:
            raise OptionError("type", type, "one that no other task of this app has")
        defaults = Task(type, **options).options  # refuse wrong options here, not at the first call
        makers = list(makers_of(on_success, on_failure))

        def declare(function: Callable[..., Any]) -> TypedTask[..., Any]:
            if isinstance(function, TypedTask):
                msg = f"{function!r} is a task already: write @app.periodic above @app.task"
                raise TypeError(msg)
            check_function(function, f"the task {type!r}", "(its parameters)")
            make = cast("Make", TypedTask if is_async(function) else PlainTask)
            task = make(self, type, function, defaults, executor)
            runs_in = "processes" if executor else place_of(function)
            self.mux.add(type, task.handle, exact=True, runs_in=runs_in)
            self.tasks[type] = task
            for outcome, follower in makers:
                self._hooks.when(outcome, type, follower, exact=True)
            self._coverage.add(type, defaults)
            return task

        return cast("Declare", declare)

    def periodic(
        self, spec: str, *, catch_up: CatchUp | None = None, **options: Unpack[EnqueueOptions]
    ) -> Periodic:
        """Return a decorator that enqueues a task without arguments at the ticks of *spec*.

        Write it above `task`. Without `task`, it makes the function a task of the function's name.

        Args:
            spec: Cron text; see `Scheduler.register`.
            catch_up: Which missed ticks are enqueued; None for the setting of the scheduler.
            **options: Options of each enqueued task; they win over the task's own.

        Raises:
            OptionError: If the spec or an option cannot work.
            TypeError: If the task needs arguments; then use `Scheduler.register`.
        """

        def declare(function: Callable[..., Any]) -> TypedTask[..., Any]:
            task: TypedTask[..., Any] = (
                cast("TypedTask[..., Any]", function)
                if isinstance(function, TypedTask)
                else self.task(function.__name__)(function)
            )
            call = call_without_arguments(task)
            definition = PeriodicTask(spec=spec, task=call, options=options, catch_up=catch_up)
            check(definition)
            self.periodic_tasks.append(definition)
            if queue := options.get("queue"):
                self._coverage.add_queue(queue, call.type)
            return task

        return cast("Periodic", declare)

    def when(self, outcome: Ending, prefix: str, task: OutcomeTask) -> None:
        """Let *task* follow each task that ends with *outcome*; see `Hooks.when`.

        Args:
            outcome: ``succeeded``, ``archived``, ``expired`` or ``revoked``; see `Outcome`.
            prefix: Start of the types that it is for; empty for all.
            task: A typed task, whose only argument is the `Outcome`.

        Raises:
            OptionError: If there is no such outcome, or *prefix* is not a text.
            TypeError: If *task* is not a typed task that takes an `Outcome`.
        """
        self._hooks.when(outcome, prefix, maker_of(task))

    def on(self, event: Event, prefix: str = "") -> Callable[[E], E]:
        """Return a decorator for a function that is called after *event*; see `Hooks.on`.

        It may be an ``async def``, or a ``def``, which runs in a thread.
        """
        return self._hooks.on(event, prefix)

    def use(self, middleware: Middleware) -> Middleware:
        """Wrap every handler in *middleware*; see `Mux.use`."""
        return self.mux.use(middleware)

    def use_client(self, middleware: ClientMiddleware) -> ClientMiddleware:
        """Call *middleware* around every task that this app enqueues; the first is the outermost.

        From now on it is called as ``await middleware(task, options, call_next)`` for each task of
        the app's client, each tick of its schedulers, and each task that its servers make of a
        group. It calls ``await call_next(task, options)``, with the same or other arguments, and
        returns the resulting `TaskInfo`; or it raises. Can be used as a decorator.

        Raises:
            TypeError: If it cannot be called this way.
        """
        return self._client_middleware.use(middleware)

    def aggregator(self, aggregator: G) -> G:
        """Use a function to combine the tasks of groups; a decorator. See `ServerOptions`.

        Raises:
            OptionError: If the app has an aggregator already.
        """
        if "group_aggregator" in self._options:
            raise OptionError("group_aggregator", aggregator, "one for the whole app")
        self._options["group_aggregator"] = aggregator
        return aggregator

    def lifespan(self, lifespan: Lifespan) -> Lifespan:
        """Open and close what handlers share, by an ``async def`` that yields once; a decorator.

        The function takes the app. A server enters it at its start and leaves it when it has
        drained. If it yields a mapping, the mapping updates `state`.

        Raises:
            TypeError: If it is not such a function.
        """
        self._lifespan = lifespan_context(lifespan, self, self.state)
        return lifespan

    def server(
        self, broker: "BrokerAddress | None" = None, **options: Unpack[ServerOptions]
    ) -> Server:
        """Return a server for this app's tasks; *options* win over the app's own.

        While the server runs, the app's client is open, so tasks can enqueue tasks.

        Args:
            broker: Replaces the app's broker from now on, for client and server.
            **options: See `ServerOptions`.
        """
        self.use_broker(broker)
        merged = self.server_options(**options)
        served = {*self._options.get("queues", ()), *merged.get("queues", (DEFAULT_QUEUE,))}
        combines = merged.get("group_aggregator") is not None
        merged["lifespan"] = functools.partial(self._serving, served, combines=combines)
        return Server(self.address.check_broker(), handler=self.mux, **merged)

    def use_broker(self, broker: "BrokerAddress | None") -> None:
        """Use *broker* from now on, for clients and servers; None changes nothing."""
        self._broker = self._broker if broker is None else broker

    def server_options(self, **options: Unpack[ServerOptions]) -> ServerOptions:
        """Return the options of this app's servers; *options* win over the app's own."""
        return {
            "unknown": "wait",
            "lifespan": self._lifespan,
            **self._options,
            "hooks": self._hooks,
            "client_middleware": self._client_middleware,
            **options,
        }

    def scheduler(
        self, broker: "BrokerAddress | None" = None, **options: Unpack[SchedulerOptions]
    ) -> Scheduler:
        """Return a scheduler for this app's periodic tasks.

        Args:
            broker: Used instead of the app's broker.
            **options: See `SchedulerOptions`.
        """
        merged: SchedulerOptions = {
            "client_middleware": self._client_middleware,
            "codecs": self._codecs,
            **options,
        }
        scheduler = Scheduler(self.address.check_broker() if broker is None else broker, **merged)
        for definition in self.periodic_tasks:
            scheduler.add(definition)
        return scheduler

    def new_client(self, broker: "BrokerAddress | None" = None) -> Client:
        """Return a client with this app's middleware and codecs, for you to close.

        Args:
            broker: Used instead of the app's own.
        """
        address = self.address.check_broker() if broker is None else broker
        return Client(address, middleware=self._client_middleware, codecs=self._codecs)

    def _new_sync_client(self, url: str) -> SyncClient:
        return SyncClient(url, middleware=self._client_middleware, codecs=self._codecs)

    def _url(self) -> str:
        broker = self.address.check_broker()
        if not isinstance(broker, str):
            raise OptionError(
                "broker", broker, "an address: a redis-py client serves one loop only"
            )
        return broker

    def inspector(self, broker: "BrokerAddress | None" = None) -> "Inspector":
        """Return an inspector that opens what this app's codecs have sealed.

        Args:
            broker: Used instead of the app's own.
        """
        from pyasynq.inspector import Inspector

        address = self.address.check_broker() if broker is None else broker
        return Inspector(address, codecs=self._codecs)

    def sync_inspector(self) -> "SyncInspector":
        """Return an inspector for code without an event loop; see `inspector`, `sync_client`."""
        from pyasynq.inspector import SyncInspector

        return SyncInspector(self._url(), codecs=self._codecs)

    async def __aenter__(self) -> Self:
        """Open the client of this event loop, unless it is open, for example in a server."""
        await self.clients.open()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Close the client, unless it has other users in this event loop.

        Raises:
            PyasynqError: If the app was opened in another loop.
        """
        await self.clients.close()

    @asynccontextmanager
    async def _serving(self, served: Set[str], *, combines: bool) -> AsyncGenerator[None]:
        if not self.mux.patterns:
            log.warning("the app has no tasks: its module must import those that declare them")
        self._coverage.log_gaps(served, combines=combines)
        if self.periodic_tasks:
            count = len(self.periodic_tasks)
            log.info("periodic tasks: %d; a scheduler enqueues them (pyasynq scheduler)", count)
        async with self, self._lifespan():
            yield
