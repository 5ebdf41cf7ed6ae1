"""Client middleware: what users put around every enqueueing.

All who compose tasks pass them through a `Chain` first, if it is not empty. Its end, which composes
and enqueues, is given with each task: it is another one in a client, a scheduler or an outbox.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
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

CallNext: TypeAlias = Callable[[Task, Options], Coroutine[Any, Any, TaskInfo]]
ClientMiddleware: TypeAlias = Callable[[Task, Options, CallNext], Awaitable[TaskInfo]]

RETURN_IT: Final = "must return what `await call_next(task, options)` gives, or raise"
IT_WENT_ON: Final = "; the task has gone on all the same"
AWAIT_IT: Final = (
    "calls call_next, and does not await it: write `return await call_next(task, options)`"
)
CALL_IT_ONCE: Final = (
    "must call call_next once, and its first call counts: another task is enqueued with a client, "
    "and who wants to try again does so around the client"
)


class Chain(list[ClientMiddleware]):
    """Client middleware, the first outermost."""

    @classmethod
    def of(cls, given: Sequence[ClientMiddleware]) -> "Chain":
        """Return *given* as a chain: itself if it is one, to which its owner may add later.

        Raises:
            OptionError: If it is no list.
            TypeError: If something in it cannot be called as a middleware.
        """
        if isinstance(given, Chain):
            return given
        if not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("middleware", given, "a list of client middleware")
        chain = cls()
        for middleware in given:
            chain.use(middleware)
        return chain

    def use(self, middleware: ClientMiddleware) -> ClientMiddleware:
        """Add *middleware*, inside of those that are there.

        Raises:
            TypeError: If it cannot be called as one.
        """
        check_function(middleware, "a client middleware", "(task, options, call_next)", 3)
        self.append(middleware)
        return middleware

    async def enqueue(self, task: Task, options: Options, end: CallNext) -> TaskInfo:
        """Have *end* enqueue *task*, or what the middleware makes of it.

        Raises:
            Exception: What the middleware or *end* raises.
        """

        async def checked_end(task: Task, changed: Options) -> TaskInfo:
            check_task(task)
            return await end(task, changed if changed is options else check_options(changed))

        # The headers may be shared by all tasks of the process.
        options = structs.replace(options, headers=MappingProxyType({**options.headers}))
        call_next: CallNext = checked_end
        for middleware in reversed(self):
            call_next = _Layer(middleware, call_next).enter
        return await call_next(task, options)

    async def enqueue_each(
        self, tasks: Sequence[Task], options: Options, end: CallNext
    ) -> list[TaskInfo | PyasynqError]:
        """Enqueue *tasks* in order: each sets out once the one before has reached the *end*.

        So their order stays, and they travel together. To let all set out at once and then wait for
        each other would hang where a middleware lets only some of them through at a time.
        """
        async with asyncio.TaskGroup() as group:
            jobs: list[asyncio.Task[TaskInfo | PyasynqError]] = []
            for task in tasks:
                arrived = asyncio.Event()
                own = merge(task.options, options)
                jobs.append(group.create_task(self._outcome(task, own, end, arrived)))
                await arrived.wait()
        return [job.result() for job in jobs]

    async def _outcome(
        self, task: Task, options: Options, end: CallNext, arrived: asyncio.Event
    ) -> TaskInfo | PyasynqError:
        async def noted_end(task: Task, options: Options) -> TaskInfo:
            arrived.set()  # seen once *end*, which does not wait before it sends, has sent
            return await end(task, options)

        try:
            return await call_guarded("client middleware", self.enqueue(task, options, noted_end))
        except PyasynqError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the user's code
            return told(error)
        finally:
            arrived.set()


class _Layer:
    """One middleware on the way of one task."""

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
            forgotten = self._next is not None and not self._begun
            if self._next is not None and not self._begun:
                self._next.close()
        if forgotten:
            raise self._error(AWAIT_IT)
        if self._answer is None or answer is not self._answer:
            raise self._error(RETURN_IT if self._answer is None else RETURN_IT + IT_WENT_ON)
        return self._answer

    def _call_next(self, task: Task, options: Options) -> Coroutine[Any, Any, TaskInfo]:
        if self._next is not None:
            raise self._error(CALL_IT_ONCE)
        self._next = self._go_on(task, options)
        return self._next

    _call_next.__qualname__ = "call_next"  # by which its author knows it

    async def _go_on(self, task: Task, options: Options) -> TaskInfo:
        self._begun = True
        self._answer = await self._inner(task, options)
        return self._answer

    def _error(self, reason: str) -> MiddlewareError:
        return MiddlewareError(f"{name_of(self._middleware)} {reason}")


def prepared(options: Mapping[str, object]) -> dict[str, Any]:
    """Return *options* with their client middleware as a `Chain`, and their codecs as `Codecs`.

    Raises:
        OptionError: If a codec cannot be used.
        TypeError: If a middleware cannot be called as one.
    """
    made: dict[str, Any] = {**options}
    for name, make in (("client_middleware", Chain.of), ("codecs", Codecs)):
        if name in made:
            made[name] = make(made[name])
    return made


def told(error: Exception) -> PyasynqError:
    """Return *error* where only errors of pyasynq can be told."""
    if isinstance(error, PyasynqError):
        return error
    failure = MiddlewareError(error_text(error))
    failure.__cause__ = error
    return failure


def driven(work: Coroutine[Any, Any, T], otherwise: str) -> T:
    """Return what *work* returns, which must do so without waiting for anything.

    Raises:
        MiddlewareError: If it waits; *otherwise* says what to call then.
    """
    msg = f"none may wait for anything here: {otherwise}"
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    except RuntimeError as error:
        if str(error) == "no running event loop":  # what was to be awaited asked for one
            raise MiddlewareError(msg) from error
        raise
    with suppress(RuntimeError):  # it goes on to wait, in a finally
        work.close()
    raise MiddlewareError(msg)
