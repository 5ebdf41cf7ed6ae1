"""Functions as tasks; their arguments are the payload."""

import copy
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from pyasynq.app.clients import Clients
from pyasynq.app.in_process import call_in_process, check_importable
from pyasynq.app.payload import Signature, encode_result
from pyasynq.core.call import Call as StepCall
from pyasynq.core.call import StepResult
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import DEFAULT_QUEUE, EnqueueOptions, Options, check_all, merge
from pyasynq.core.outcome import Outcome
from pyasynq.core.task import Task
from pyasynq.runtime.calls import Call, mark_as_async
from pyasynq.runtime.processes import ProcessCall
from pyasynq.runtime.threads import is_async
from pyasynq.server import ActiveTask, current_task

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", bound="TypedTask[..., Any]")


Executor: TypeAlias = Literal["process"]
"""Where a plain function runs, if not in a thread."""


class HasClient(Protocol):
    """An app, whose clients enqueue the tasks.

    Attributes:
        clients: Its clients.
    """

    clients: Clients

    def use_broker(self, broker: str | None) -> None:
        """Use *broker* from now on, unless it is None."""
        ...


class OutcomeTask(Protocol):
    """A typed task whose only argument is an `Outcome`."""

    @property
    def type(self) -> str:
        """Task type."""
        ...

    def task(self, outcome: Outcome, /) -> Task:
        """Return the call as a `Task`."""
        ...


class TypedTask(Generic[P, R]):
    """A task function. A call runs it here; `enqueue` lets a worker run it.

    ``P`` are its parameters without the `ActiveTask`; ``R`` is its result after ``await``. An
    ``async def`` becomes a `TypedTask`, a ``def`` becomes a `PlainTask`.

    Attributes:
        type: Task type.
    """

    def __init__(
        self,
        app: HasClient,
        type: str,
        function: Callable[..., object],
        options: Options,
        executor: Executor | None = None,
    ) -> None:
        """Declare *function* as the handler of *type*.

        Raises:
            TypeError: If the function cannot be a task, or cannot run in the *executor*.
        """
        functools.update_wrapper(self, function)
        self.type = type
        self._app = app
        self._function = function
        self._options = options
        self._signature = Signature(type, function)
        self._is_async = is_async(function)
        self._in_process = executor == "process"
        if self._in_process:
            check_importable(type, function, self._signature.active)

    def __repr__(self) -> str:
        """Show the type."""
        return f"<TypedTask {self.type!r}>"

    def prepare_process(self, broker: str | None) -> Callable[..., object]:
        """Make the app of this process use the *broker* of the worker; return the function."""
        self._app.use_broker(broker)
        return self._function

    @property
    def queue(self) -> str:
        """Queue into which `enqueue` puts it."""
        return self._options.queue or DEFAULT_QUEUE

    @property
    def result_type(self) -> object:
        """Type that the function declares for its result; `Any` if it declares none."""
        return self._signature.returns

    @property
    def clients(self) -> Clients:
        """The clients of its app."""
        return self._app.clients

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters that are sent."""
        return self._signature.names

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run the function here, as tests do; a parameter for the `ActiveTask` is filled in."""
        coroutine = cast("Coroutine[Any, Any, R]", self._call(*args, **kwargs))
        return Call(coroutine, getattr(self, "__name__", "call"), self.type)

    def _call(self, *args: object, **kwargs: object) -> object:
        given: dict[str, Any] = dict(kwargs)
        missing = [name for name in self._signature.active if name not in given]
        if missing and not any(isinstance(arg, ActiveTask) for arg in args):
            given |= dict.fromkeys(missing, current_task())
        return self._function(*args, **given)

    def task(self, *args: P.args, **kwargs: P.kwargs) -> StepCall[R]:
        """Return the call as a `Task`, for flows, ``enqueue_many`` or another client.

        An argument may be the `Step.result` of a step; then the call can only be a step, too.

        Raises:
            PayloadError: If an argument is not of its type.
        """
        for value in (*args, *kwargs.values()):
            if type(value) is StepResult:
                return self._step(args, kwargs)
        payload = self._signature.payload(*args, **kwargs)
        return cast("StepCall[R]", StepCall.with_options(self.type, payload, self._options))

    def _step(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> StepCall[R]:
        """Return a call some of whose arguments are results of steps."""
        payload, inputs = self._signature.partial_payload(args, kwargs)
        call = cast("StepCall[R]", StepCall.with_options(self.type, payload, self._options))
        call.inputs = inputs
        return call

    def from_payload(self, payload: bytes) -> Task:
        """Return the call whose arguments *payload* holds, as `task` would; for operators.

        Raises:
            PayloadError: If it does not fit the function, or names an unknown parameter.
        """
        return Task.with_options(self.type, self._signature.rewrite(payload), self._options)

    def arguments(self, task: Task) -> dict[str, Any]:
        """Return the arguments of *task* by name; for aggregators.

        Raises:
            PayloadError: If its payload does not fit the function.
        """
        return self._signature.arguments(task.payload or b"")

    @mark_as_async
    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, TaskInfo]:
        """Enqueue the call with the app's client; await it. See `Client.enqueue` for its errors.

        If the call is never awaited, the log says so, and the run of the task that made it fails.

        Raises:
            PayloadError: If an argument is not of its type; raised before the await.
        """
        return Call(self._enqueue(self.task(*args, **kwargs)), "enqueue", self.type)

    async def _enqueue(self, task: Task) -> TaskInfo:
        return await self._app.clients.current().enqueue(task)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> TaskInfo:
        """Enqueue the call from code without ``await``: threads, ``def`` tasks, scripts and WSGI.

        Nothing must be open: if the app is open in the event loop of another thread, as in a
        worker, that client is used, else the app's `App.sync_client`. See `Client.enqueue` for more
        errors.

        Raises:
            PayloadError: If an argument is not of its type.
            PyasynqError: In an event loop in which the app is open, or in a coroutine of a handler:
                the call would block the loop. Await `enqueue` there.
        """
        return self._app.clients.enqueue_sync(self.task(*args, **kwargs))

    def options(self, **options: Unpack[EnqueueOptions]) -> Self:
        """Return a copy of this task whose options are overridden by *options*."""
        twin = copy.copy(self)
        vars(twin)["_options"] = merge(self._options, check_all(options))
        return twin

    async def handle(self, task: ActiveTask) -> R:
        """Run *task* and return the function's result; store it if the task has a retention."""
        if self._in_process:
            value = await task.in_process(self._process_call(task))
        elif self._is_async:
            args, kwargs = self._signature.call(task)
            value = await cast("Awaitable[object]", self._function(*args, **kwargs))
        else:
            args, kwargs = self._signature.call(task)
            value = await task.in_thread(functools.partial(self._function, *args, **kwargs))
        if value is not None and task.retention:
            await task.write_result(encode_result(self.type, value))
        elif value is not None and task.reports_result:
            task.keep_output(encode_result(self.type, value))
        return cast("R", value)

    def _process_call(self, task: ActiveTask) -> ProcessCall:
        module, name = self._function.__module__, self._function.__name__
        args, kwargs = self._signature.call(task)  # refuses a payload that does not fit
        payload = self._signature.complete(task)
        return ProcessCall(
            module=module,
            call=functools.partial(
                call_in_process, self.type, module, name, payload, self._app.clients.broker
            ),
            here=functools.partial(self._function, *args, **kwargs),
        )


class PlainTask(TypedTask[P, R]):
    """A task function that is a plain ``def``; a call returns its result at once."""

    # A caller with only a TypedTask[P, R] cannot know whether a call returns R or a coroutine.
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        """Run the function here, as tests do; a parameter for the `ActiveTask` is filled in."""
        return cast("R", self._call(*args, **kwargs))


def call_without_arguments(task: TypedTask[..., Any]) -> Task:
    """Return the call of a periodic *task*.

    Raises:
        TypeError: If it needs arguments.
    """
    try:
        return task.task()
    except TypeError as error:
        msg = f"{error}; app.periodic passes none: add defaults, or use Scheduler.register"
        raise TypeError(msg) from None


class Declare(Protocol):
    """Makes a function a task; a first parameter for the `ActiveTask` is not enqueued."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - async functions are callables, too
        self, function: Callable[Concatenate[ActiveTask, P], Coroutine[Any, Any, R]], /
    ) -> TypedTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> TypedTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[ActiveTask, P], R], /) -> PlainTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...


class Periodic(Protocol):
    """Makes a task periodic; a function that is not a task yet becomes one."""

    @overload
    def __call__(self, task: D, /) -> D: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - async functions are callables, too
        self, function: Callable[Concatenate[ActiveTask, P], Coroutine[Any, Any, R]], /
    ) -> TypedTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> TypedTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[ActiveTask, P], R], /) -> PlainTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...
