"""Check and call the functions that a user hands over, and know which of them runs."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import CodeType, FrameType
from typing import Final, TypeVar

from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.threads import invoke, is_closed, is_ordered

log: Final = get_logger("pyasynq.callbacks")

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

CALLBACK_THREAD: Final = "pyasynq-callback"
"""Start of the names of the threads that run plain callbacks."""

_roles: dict[CodeType, str] = {}


async def call_guarded(role: str, call: Awaitable[T]) -> T:
    """Return what *call*, which calls the user's *role*, returns.

    Raises:
        Exception: What the function raised; a RuntimeError for what would end more than the call,
            such as ``exit()`` or a cancellation that nobody ordered.
    """
    job = asyncio.current_task()
    try:
        return await call
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_ordered(error) or is_closed(error, job):
            raise
        msg = f"{role} raised {error!r}"
        raise RuntimeError(msg) from error


class Callbacks:
    """Calls functions that are told something: nothing is asked of them.

    Plain ones run in threads of their own: they may wait, and handlers that hang in all of theirs
    do not keep them from running.
    """

    def __init__(self, threads: int) -> None:
        """Call so many plain functions at once."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=CALLBACK_THREAD)

    async def tell(self, role: str, function: Callable[..., object] | None, *told: object) -> None:
        """Call *function*, the user's *role*, if there is one; what it raises is logged (D40)."""
        if function is None:
            return
        try:
            await call_guarded(role, invoke(self._threads, function, *told))
        except Exception:
            enable_loggers()  # it may have configured logging, too
            log.exception("%s failed for %r", role, told[0])

    def close(self) -> None:
        """Let go of the threads; one that does not return ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def calls(role: str) -> Callable[[F], F]:
    """Return a decorator that marks a function as the one that calls the user's *role*."""

    def mark(function: F) -> F:
        _roles[function.__code__] = role
        return function

    return mark


def role_in(frame: FrameType | None) -> str | None:
    """Return which of the user's functions *frame* is in; None if in none that is known here."""
    while frame is not None:
        if frame.f_code is call_guarded.__code__:
            return str(frame.f_locals["role"])
        if frame.f_code in _roles:
            return _roles[frame.f_code]
        frame = frame.f_back
    return None


def check_function(function: object, role: str, takes: str, count: int | None = None) -> None:
    """Refuse what could never play its *role*.

    Args:
        function: What was given.
        role: What it is to be, for the message.
        takes: What it is called with, for the message.
        count: How many arguments that is; None if it does not matter.

    Raises:
        TypeError: If it cannot be called so, or is a generator, whose body would never run.
    """
    name = name_of(function)
    if not callable(function):
        msg = f"{role} must be a function {takes}, got {name}"
        raise TypeError(msg)
    if any(_is_generator(it) for it in (function, getattr(function, "__call__", None))):  # noqa: B004
        msg = f"{role} must return, {name} yields: its body would never run"
        raise TypeError(msg)
    if count is not None and not _takes(function, count):
        msg = f"{role} is called with {takes}, {name} takes {inspect.signature(function)}"
        raise TypeError(msg)


def name_of(function: object) -> str:
    """Return how *function* is called in its module, for messages."""
    return getattr(function, "__qualname__", None) or repr(function)


def _is_generator(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _takes(function: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except ValueError:
        return True  # written in C, without a signature: it cannot be known
    except TypeError:
        return False
    return True
