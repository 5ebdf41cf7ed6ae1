"""Check and call the user's functions, and find out which of them runs."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from types import CodeType, FrameType
from typing import Final, TypeVar

from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.threads import invoke, is_cancel_request, is_coroutine_closing

log: Final = get_logger("pyasynq.callbacks")

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

CALLBACK_THREAD: Final = "pyasynq-callback"
"""Start of the names of the threads that run plain callbacks."""

_roles: dict[CodeType, str] = {}


async def call_guarded(role: str, call: Awaitable[T]) -> T:
    """Return the result of *call*, which calls the user's function.

    Args:
        role: Name of the function, for messages.
        call: Calls it.

    Raises:
        Exception: What the function raised; a RuntimeError instead of an error that would end more
            than the call, such as ``exit()`` or a cancellation that nobody requested.
    """
    job = asyncio.current_task()
    try:
        return await call
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_cancel_request(error) or is_coroutine_closing(error, job):
            raise
        msg = f"{role} raised {error!r}"
        raise RuntimeError(msg) from error


class Callbacks:
    """Calls the user's functions whose answers are not used.

    Plain functions run in separate threads: they may wait, and they run even when handlers hang in
    all handler threads.
    """

    def __init__(self, threads: int, executor: Executor | None = None) -> None:
        """Call at most *threads* plain functions at once; in *executor* if it is given."""
        self._threads = executor or ThreadPoolExecutor(threads, thread_name_prefix=CALLBACK_THREAD)

    async def call(self, role: str, function: Callable[..., object] | None, *args: object) -> None:
        """Call the user's *function*, if there is one; log what it raises (D40).

        Args:
            role: Name of the function, for the log.
            function: What to call; None does nothing.
            *args: Arguments; the log names the first.
        """
        if function is None:
            return
        try:
            await call_guarded(role, invoke(self._threads, function, *args))
        except Exception:
            enable_loggers()  # the function may have configured logging
            log.exception("%s failed for %r", role, args[0])

    def close(self) -> None:
        """Release the threads; one that does not return ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def calls_callback(role: str) -> Callable[[F], F]:
    """Return a decorator for a function that calls the user's *role*; see `role_in`."""

    def set_role(function: F) -> F:
        _roles[function.__code__] = role
        return function

    return set_role


def role_in(frame: FrameType | None) -> str | None:
    """Return the role of the user's function that *frame* is in; None if it is in none."""
    while frame is not None:
        if frame.f_code is call_guarded.__code__:
            return str(frame.f_locals["role"])
        if frame.f_code in _roles:
            return _roles[frame.f_code]
        frame = frame.f_back
    return None


def check_function(function: object, role: str, takes: str, count: int | None = None) -> None:
    """Check that *function* can be called as *role*.

    Args:
        function: What the user gave.
        role: What it is used for, for the message.
        takes: Its arguments, for the message.
        count: Number of arguments; None if any number will do.

    Raises:
        TypeError: If it cannot be called with these arguments, or is a generator function, whose
            body would never run.
    """
    name = name_of(function)
    if not callable(function):
        msg = f"{role} must be a function {takes}, got {name}"
        raise TypeError(msg)
    if any(_is_generator(it) for it in (function, getattr(function, "__call__", None))):  # noqa: B004
        msg = f"{role} must return, {name} yields: its body would never run"
        raise TypeError(msg)
    if count is not None and not _accepts(function, count):
        msg = f"{role} is called with {takes}, {name} takes {inspect.signature(function)}"
        raise TypeError(msg)


def name_of(function: object) -> str:
    """Return the qualified name of *function*, for messages."""
    return getattr(function, "__qualname__", None) or repr(function)


def _is_generator(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _accepts(function: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except ValueError:
        return True  # written in C, without a signature: nobody can know
    except TypeError:
        return False
    return True
