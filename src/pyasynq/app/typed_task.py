"""Functions as tasks: their parameters are the payload."""

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
from pyasynq.core.task import Task
from pyasynq.runtime.calls import Call, mark_as_async
from pyasynq.runtime.threads import is_async
from pyasynq.server import ActiveTask, current_task

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", bound="TypedTask[..., Any]")


class HasClient(Protocol):
    """What tasks are enqueued with: an app."""

    @property
    def client(self) -> Client:
        """The client that is open here."""
        ...


class TypedTask(Generic[P, R]):
    """A task function. Calling it runs it here; `enqueue` has a worker run it.

    ``P`` are its parameters, but for the `ActiveTask`, and ``R`` is what it returns, when it has
    been awaited: this is what an ``async def`` becomes, and a ``def`` becomes a `PlainTask`.

    Attributes:
        type: Task type.
    """

    def __init__(
        self, app: HasClient, type: str, function: Callable[..., object], options: Options
    ) -> None:
        """Declare *function* as what handles *type*."""
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
            PayloadError: If it does not fit the function, or names a parameter that there is not.
        """
        return Task.with_options(self.type, self._signature.rewrite(payload), self._options)

    def arguments(self, task: Task) -> dict[str, Any]:
        """Return the arguments by name with which *task* was made; for aggregators.

        Raises:
            PayloadError: If its payload does not fit the function.
        """
        return self._signature.arguments(task.payload or b"")

    @mark_as_async
    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, TaskInfo]:
        """Enqueue the call with the app's client, to be awaited; see `Client.enqueue` for errors.

        A call that nobody awaits is told in the log, and fails the run of the task that made it.

        Raises:
            PayloadError: If an argument is not of its type, at once.
        """
        return Call(self._enqueue(self.task(*args, **kwargs)), "enqueue", self.type)

    async def _enqueue(self, task: Task) -> TaskInfo:
        return await self._app.client.enqueue(task)

    def options(self, **options: Unpack[EnqueueOptions]) -> Self:
        """Return this task with *options* on top of its own."""
        twin = copy.copy(self)
        vars(twin)["_options"] = merge(self._options, check_all(options))
        return twin

    async def handle(self, task: ActiveTask) -> None:
        """Run *task*; store what the function returns if the task has a retention."""
        args, kwargs = self._signature.call(task)
        if self._is_async:
            value = await cast("Awaitable[object]", self._function(*args, **kwargs))
        else:
            value = await task.in_thread(functools.partial(self._function, *args, **kwargs))
        if value is not None and task.retention:
            await task.write_result(encode_result(self.type, value))


class PlainTask(TypedTask[P, R]):
    """A task function that is a plain ``def``: a call returns at once what it returns."""

    # Nobody can tell from a TypedTask[P, R] alone which of the two calling it gives.
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
    """Has a task enqueued periodically; a function that is no task yet becomes one."""

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
