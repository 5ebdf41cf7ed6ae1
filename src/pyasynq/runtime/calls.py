"""Calls that must be awaited: a forgotten ``await`` is logged, and fails the run that forgot it.

Without this, calling an ``async def`` in a plain function would silently do nothing.
"""

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, cast

from pyasynq.core.control import NotAwaitedError
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.client")

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


class Run(Protocol):
    """A task that is being run.

    Attributes:
        forgotten: A call that its handler did not await; None without one.
    """

    forgotten: NotAwaitedError | None


current: Final[ContextVar[Run]] = ContextVar("pyasynq_current_task")
"""The task whose handler is running."""

on_forgotten: Final[list[Callable[[NotAwaitedError], object]]] = []
"""Called with each call outside of runs that nobody has awaited."""


class Call(Coroutine[Any, Any, T]):
    """A coroutine that reports when it is garbage-collected and nobody has awaited it.

    A native coroutine cannot serve, because it does not know whether anybody awaited it: one that
    was cancelled before its first step was awaited, but never began.
    """

    __slots__ = (
        "__weakref__",
        "_awaited",
        "_code",
        "_coroutine",
        "_line",
        "_name",
        "_run",
        "_type",
    )

    def __init__(self, coroutine: Coroutine[Any, Any, T], name: str, type: str = "") -> None:
        """Wrap *coroutine*; must be called directly by the function that the user called.

        Args:
            coroutine: Does the work.
            name: Name of the function that the user called, for the message.
            type: Type of the task it was called with; empty without a task.
        """
        self._awaited = True  # until all attributes of the report are set
        self._coroutine = coroutine
        caller = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self._name = name
        self._type = type
        self._code = caller.f_code
        self._line = caller.f_lineno
        self._run = current.get(None)
        self._awaited = False

    def __await__(self) -> Generator[Any, Any, T]:
        """Await the coroutine."""
        self._awaited = True
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:  # noqa: ANN401 - as coroutines have it
        """Take a step."""
        self._awaited = True
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - as coroutines have it
        """Take a step that begins with *error*."""
        self._awaited = True
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End the coroutine where it is."""
        self._awaited = True
        self._coroutine.close()

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type:
            """Look like a native coroutine: `inspect.iscoroutine`, and so anyio, needs that."""
            return CoroutineType

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - cr_frame and its like
        """Return the coroutine's state, under the names that native coroutines use."""
        if name in Call.__slots__:  # this call is being copied, or `__init__` has failed
            raise AttributeError(name)
        return getattr(self._coroutine, name)

    def __del__(self) -> None:
        """Report the call if nobody has awaited it."""
        if self._awaited or sys.is_finalizing():
            return
        self._coroutine.close()  # else Python adds a warning of its own
        error = NotAwaitedError(self._name, f"{self._code.co_filename}:{self._line}", self._type)
        log.error("%s", error)
        if self._run is not None:
            self._run.forgotten = error
            return
        for report in (*on_forgotten,):
            report(error)


def must_await(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorate an ``async def`` so that calls which nobody awaits are reported."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return Call(function(*args, **kwargs), function.__qualname__)

    return mark_as_async(call)


def mark_as_async(function: F) -> F:
    """Make `inspect.iscoroutinefunction` true for a plain function that returns a coroutine."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    cast("Any", function)._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
    return function


def check_awaited(value: object) -> None:
    """Check that what a handler returned is no coroutine that it should have awaited.

    Raises:
        NotAwaitedError: If it is one.
    """
    if value is not None and inspect.iscoroutine(value):  # the fast test first: most are None
        value.close()
        raise NotAwaitedError(value.__qualname__, "the end of the handler")
