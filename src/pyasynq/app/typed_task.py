"""Functions as tasks; their arguments are the payload."""

import copy
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from pyasynq.app.payload import Signature, encode_result
from pyasynq.client import Client
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions, Options, check_all, merge
from pyasynq.core.outcome import Outcome
from pyasynq.core.task import Task
from pyasynq.runtime.calls import Call, mark_as_async
from pyasynq.runtime.threads import is_async
from pyasynq.server import ActiveTask, current_task

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", bound="TypedTask[..., Any]")


class HasClient(Protocol):
    """An app, whose client enqueues the tasks."""

    @property
    def client(self) -> Client:
        """The client that is open here."""
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
        self, app: HasClient, type: str, function: Callable[..., object], options: Options
    ) -> None:
        """Declare *function* as the handler of *type*."""
        functools.update_wrapper(self, function)
        self.type = type
        self._app = app
        self._function = function
        self._options = options
        self._signature = Signature(type, function)
        self._is_async = is_async(function)

    def __repr__(self) -> str:
        """Show the type."""
        return f"<TypedTask {self.type!r}>"

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

    def task(self, *args: P.args, **kwargs: P.kwargs) -> Task:
        """Return the call as a `Task`, for ``enqueue_many`` or another client.

        Raises:
            PayloadError: If an argument is not of its type.
        """
        payload = self._signature.payload(*args, **kwargs)
        return Task.with_options(self.type, payload, self._options)

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
        return await self._app.client.enqueue(task)

    def options(self, **options: Unpack[EnqueueOptions]) -> Self:
        """Return a copy of this task whose options are overridden by *options*."""
        twin = copy.copy(self)
        vars(twin)["_options"] = merge(self._options, check_all(options))
        return twin

    async def handle(self, task: ActiveTask) -> R:
        """Run *task* and return the function's result; store it if the task has a retention."""
        args, kwargs = self._signature.call(task)
        if self._is_async:
            value = await cast("Awaitable[object]", self._function(*args, **kwargs))
        else:
            value = await task.in_thread(functools.partial(self._function, *args, **kwargs))
        if value is not None and task.retention:
            await task.write_result(encode_result(self.type, value))
        return cast("R", value)


class PlainTask(TypedTask[P, R]):
    """A task function that is a plain ``def``; a call returns its result at once."""

    # A caller with only a TypedTask[P, R] cannot know whether a call returns R or a coroutine.
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        """Run the function here, as tests do; a parameter for the `ActiveTask` is filled in."""
        return cast("R", self._call(*args, **kwargs))


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
