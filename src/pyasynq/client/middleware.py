"""Client middleware: functions of the user that are called around each enqueued task.

Client, scheduler, aggregator and outbox pass each task through a `MiddlewareChain` before they
compose it, unless the chain is empty. Each of them passes its own *end*, the function that composes
and enqueues.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar, cast

from msgspec import structs

from pyasynq.core.codec import Codecs
from pyasynq.core.errors import OptionError, PyasynqError
from pyasynq.core.extension_errors import MiddlewareError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import Options, check_options, merge
from pyasynq.core.task import Task, check_task
from pyasynq.core.verdict import error_text
from pyasynq.runtime.callbacks import call_guarded, calls_callback, check_function, name_of

T = TypeVar("T")

combined_tasks: Final[ContextVar[Sequence[Task]]] = ContextVar("pyasynq_combined_tasks", default=())
"""The tasks of a group that the enqueued task replaces; set while a server enqueues that task."""

CallNext: TypeAlias = Callable[[Task, Options], Coroutine[Any, Any, TaskInfo]]
ClientMiddleware: TypeAlias = Callable[[Task, Options, CallNext], Awaitable[TaskInfo]]

RETURN_IT: Final = "must return what `await call_next(task, options)` returns, or raise"
TASK_WENT_ON: Final = "; the task was passed on anyway"
AWAIT_IT: Final = (
    "calls call_next without awaiting it: write `return await call_next(task, options)`"
)
CALL_IT_ONCE: Final = (
    "must call call_next once, and only the first call counts: enqueue another task with a client, "
    "and try again outside of the client"
)


class MiddlewareChain(list[ClientMiddleware]):
    """Client middleware; the first is the outermost."""

    @classmethod
    def of(cls, given: Sequence[ClientMiddleware]) -> "MiddlewareChain":
        """Return *given* as a chain; a chain itself, so that its owner can add to it later.

        Raises:
            OptionError: If it is not a list.
            TypeError: If a member cannot be called as a middleware.
        """
        if isinstance(given, MiddlewareChain):
            return given
        if not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("middleware", given, "a list of client middleware")
        chain = cls()
        for middleware in given:
            chain.use(middleware)
        return chain

    def use(self, middleware: ClientMiddleware) -> ClientMiddleware:
        """Add *middleware* as the innermost.

        Raises:
            TypeError: If it cannot be called as a middleware.
        """
        check_function(middleware, "a client middleware", "(task, options, call_next)", 3)
        self.append(middleware)
        return middleware

    async def enqueue(self, task: Task, options: Options, end: CallNext) -> TaskInfo:
        """Pass *task* through the middleware to *end*, which enqueues it.

        Raises:
            Exception: Any error of the middleware or of *end*.
        """

        async def end_after_check(task: Task, changed: Options) -> TaskInfo:
            check_task(task)
            return await end(task, changed if changed is options else check_options(changed))

        # Many tasks may share these headers, so the middleware must not change them.
        options = structs.replace(options, headers=MappingProxyType({**options.headers}))
        call_next: CallNext = end_after_check
        for middleware in reversed(self):
            call_next = _Layer(middleware, call_next).enter
        return await call_next(task, options)

    async def enqueue_each(
        self, tasks: Sequence[Task], options: Options, end: CallNext
    ) -> list[TaskInfo | PyasynqError]:
        """Enqueue *tasks* in order: each starts when the one before it has reached *end*.

        So they keep their order and share round trips. If all started at once and waited for each
        other at *end*, they would hang behind a middleware that admits only a few at a time.
        """
        async with asyncio.TaskGroup() as group:
            jobs: list[asyncio.Task[TaskInfo | PyasynqError]] = []
            for task in tasks:
                arrived = asyncio.Event()
                merged = merge(task.options, options)
                jobs.append(group.create_task(self._outcome(task, merged, end, arrived)))
                await arrived.wait()
        return [job.result() for job in jobs]

    async def _outcome(
        self, task: Task, options: Options, end: CallNext, arrived: asyncio.Event
    ) -> TaskInfo | PyasynqError:
        async def end_with_signal(task: Task, options: Options) -> TaskInfo:
            arrived.set()  # the waiter runs once *end* waits, and *end* has sent by then
            return await end(task, options)

        try:
            return await call_guarded(
                "client middleware", self.enqueue(task, options, end_with_signal)
            )
        except PyasynqError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the user's code
            return as_pyasynq_error(error)
        finally:
            arrived.set()


class _Layer:
    """One middleware, called for one task."""

    __slots__ = ("_answer", "_begun", "_inner", "_middleware", "_next")

    def __init__(self, middleware: ClientMiddleware, inner: CallNext) -> None:
        self._middleware = middleware
        self._inner = inner
        self._next: Coroutine[Any, Any, TaskInfo] | None = None
        self._begun = False
        self._answer: TaskInfo | None = None

    @calls_callback("client middleware")
    async def enter(self, task: Task, options: Options) -> TaskInfo:
        try:
            awaitable = cast("object", self._middleware(task, options, self._call_next))
            answer = await awaitable if inspect.isawaitable(awaitable) else awaitable
        finally:
            not_awaited = self._next is not None and not self._begun
            if self._next is not None and not self._begun:
                self._next.close()
        if not_awaited:
            raise self._error(AWAIT_IT)
        if self._answer is None or answer is not self._answer:
            raise self._error(RETURN_IT if self._answer is None else RETURN_IT + TASK_WENT_ON)
        return self._answer

    def _call_next(self, task: Task, options: Options) -> Coroutine[Any, Any, TaskInfo]:
        if self._next is not None:
            raise self._error(CALL_IT_ONCE)
        self._next = self._go_on(task, options)
        return self._next

    _call_next.__qualname__ = "call_next"  # its author knows it by this name

    async def _go_on(self, task: Task, options: Options) -> TaskInfo:
        self._begun = True
        self._answer = await self._inner(task, options)
        return self._answer

    def _error(self, reason: str) -> MiddlewareError:
        return MiddlewareError(f"{name_of(self._middleware)} {reason}")


def convert_extensions(options: Mapping[str, object]) -> dict[str, Any]:
    """Return *options* with client middleware as a `MiddlewareChain` and codecs as `Codecs`.

    Raises:
        OptionError: If a codec cannot be used.
        TypeError: If a middleware cannot be called as one.
    """
    converted: dict[str, Any] = {**options}
    for name, convert in (("client_middleware", MiddlewareChain.of), ("codecs", Codecs)):
        if name in converted:
            converted[name] = convert(converted[name])
    return converted


def as_pyasynq_error(error: Exception) -> PyasynqError:
    """Return *error* if it is of pyasynq, else a `MiddlewareError` that it caused."""
    if isinstance(error, PyasynqError):
        return error
    failure = MiddlewareError(error_text(error))
    failure.__cause__ = error
    return failure


def run_without_waiting(work: Coroutine[Any, Any, T], otherwise: str) -> T:
    """Run *work*, which must not wait for anything, and return its result.

    Raises:
        MiddlewareError: If it waits; *otherwise* says what to call instead.
    """
    msg = f"it must not wait for anything here: {otherwise}"
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    except RuntimeError as error:
        if str(error) == "no running event loop":  # it asked for a loop to wait in
            raise MiddlewareError(msg) from error
        raise
    with suppress(RuntimeError):  # raised if it waits again in a finally
        work.close()
    raise MiddlewareError(msg)
