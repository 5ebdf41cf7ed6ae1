"""Calls that must be awaited: one that never was is told, and fails the run that made it.

Without that a call of an ``async def`` in a plain function does nothing at all, in silence.
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
        forgotten: A call of its handler that was never awaited.
    """

    forgotten: NotAwaitedError | None


current: Final[ContextVar[Run]] = ContextVar("pyasynq_current_task")
"""The task whose handler is running."""


class Call(Coroutine[Any, Any, T]):
    """A coroutine that tells when it is collected and nobody has awaited it.

    It is a class of its own because a native coroutine cannot be asked at its end whether it was
    begun: one that was cancelled before its first step was awaited all the same.
    """

    __slots__ = ("__weakref__", "_code", "_coroutine", "_line", "_name", "_run", "_taken", "_type")

    def __init__(self, coroutine: Coroutine[Any, Any, T], name: str, type: str = "") -> None:
        """Await *coroutine*; to be called by what the user called.

        Args:
            coroutine: Does the work.
            name: What was called, for the message.
            type: Type of the task it was called with, if there is one.
        """
        self._taken = True  # until all is known that is to be told
        self._coroutine = coroutine
        caller = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self._name = name
        self._type = type
        self._code = caller.f_code
        self._line = caller.f_lineno
        self._run = current.get(None)
        self._taken = False

    def __await__(self) -> Generator[Any, Any, T]:
        """Await the coroutine itself."""
        self._taken = True
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:  # noqa: ANN401 - as coroutines have it
        """Take a step."""
        self._taken = True
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - as coroutines have it
        """Take a step that begins with *error*."""
        self._taken = True
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End the coroutine where it is."""
        self._taken = True
        self._coroutine.close()

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type:
            """Pass for a native coroutine: `inspect.iscoroutine`, and so anyio, takes no other."""
            return CoroutineType

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - cr_frame and its like
        """Show the state, as native coroutines do."""
        if name in Call.__slots__:  # of one that is being copied, or was never finished
            raise AttributeError(name)
        return getattr(self._coroutine, name)

    def __del__(self) -> None:
        """Tell if nobody has awaited it."""
        if self._taken or sys.is_finalizing():
            return
        self._coroutine.close()  # Python itself would only warn, and once
        error = NotAwaitedError(self._name, f"{self._code.co_filename}:{self._line}", self._type)
        log.error("%s", error)
        if self._run is not None:
            self._run.forgotten = error


def must_await(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Have an ``async def`` tell of calls that nobody awaits."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return Call(function(*args, **kwargs), function.__qualname__)

    return marked(call)


def marked(function: F) -> F:
    """Have a function that returns a coroutine pass for an ``async def``, where frameworks ask."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    cast("Any", function)._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
    return function


def check_finished(value: object) -> None:
    """Refuse what a handler returned if it is work that nobody will do.

    Raises:
        NotAwaitedError: If it is a coroutine.
    """
    if value is not None and inspect.iscoroutine(value):  # most return None, and wait for this
        value.close()
        raise NotAwaitedError(value.__qualname__, "the end of the handler")
