"""Find the handler of a task, and wrap it in middleware.

Source:
    Protocol section 9 (asynq v0.26.0 ``servemux.go``).
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Literal, TypeAlias, TypeVar, cast

from pyasynq.core.control import HandlerNotFoundError, NotAwaitedError
from pyasynq.core.errors import OptionError
from pyasynq.runtime.callbacks import check_function, name_of
from pyasynq.runtime.threads import is_async
from pyasynq.server.context import ActiveTask

AsyncHandler: TypeAlias = Callable[[ActiveTask], Awaitable[object]]
Handler: TypeAlias = Callable[[ActiveTask], object]
"""``async def`` (runs on the loop) or ``def`` (runs in a thread); succeeds by returning."""

Middleware: TypeAlias = Callable[[ActiveTask, AsyncHandler], Awaitable[object]]
H = TypeVar("H", bound=Callable[..., object])

HANDLER_THREAD: Final = "pyasynq-handler"
"""Start of the names of the threads that run plain functions."""

CACHE_SIZE: Final = 1024

Place: TypeAlias = Literal["threads", "processes"]
"""Where handlers run that do not run on the event loop; the names of settings of a server."""


class Mux:
    """Maps patterns to handlers. A mux is itself a handler and can be nested.

    A pattern is a plain prefix, case-sensitive: the exact type wins, else the longest pattern that
    the type begins with. A pattern registered as exact handles that type alone.
    """

    def __init__(self) -> None:
        """Begin without patterns."""
        self._handlers: dict[str, AsyncHandler] = {}
        self._prefixes: set[str] = set()
        self._places: dict[str, Place] = {}
        self._inner: Mux | None = None
        self._middleware: list[Middleware] = []
        self._cache: dict[str, AsyncHandler] = {}

    def handle(self, pattern: str, *, exact: bool = False) -> Callable[[H], H]:
        """Return a decorator that makes a function the handler of *pattern*.

        Args:
            pattern: Prefix of the types that the function handles.
            exact: Handle only the type that equals *pattern*.

        Raises:
            OptionError: If *pattern* is no text, is blank or already has a handler.
            TypeError: From the decorator, if the function cannot handle a task.
        """
        self._check(pattern)

        def register(handler: H) -> H:
            self.add(pattern, handler, exact=exact, runs_in=place_of(handler))
            return handler

        return register

    def add(self, pattern: str, handler: "Handler", *, exact: bool, runs_in: Place | None) -> None:
        """Register *handler* for *pattern*; see `handle`.

        Args:
            pattern: Prefix of the types that it handles.
            handler: What `handle` decorates.
            exact: Handle only the type that equals *pattern*.
            runs_in: What it needs besides the event loop; None for nothing.

        Raises:
            OptionError: If *pattern* is no text, is blank or already has a handler.
            TypeError: If the function cannot handle a task.
        """
        self._check(pattern)
        self._handlers[pattern] = as_async(handler)
        if not exact:
            self._prefixes.add(pattern)
        if runs_in is not None:
            self._places[pattern] = runs_in
        self._cache.clear()

    def _check(self, pattern: object) -> None:
        if not isinstance(pattern, str):
            raise OptionError("pattern", pattern, 'text: write @mux.handle("email:verify")')
        if not pattern.strip():
            raise OptionError("pattern", pattern, "non-blank text")
        if pattern in self._handlers:
            raise OptionError("pattern", pattern, "one that has no handler yet")

    def within(self, middleware: Middleware) -> "Mux":
        """Return a mux with these handlers, and *middleware* around all their middleware."""
        outer = Mux()
        outer._handlers, outer._places, outer._inner = self._handlers, self._places, self
        outer.use(middleware)
        return outer

    def around(self, middleware: Middleware) -> "Mux":
        """Return a mux with these handlers and their middleware, and *middleware* inside of it."""
        inner = Mux()
        inner._handlers, inner._places, inner._inner = self._handlers, self._places, self._inner
        inner._prefixes, inner._middleware = self._prefixes, [*self._middleware, middleware]
        return inner

    def use(self, middleware: Middleware) -> Middleware:
        """Wrap every handler in *middleware*; the first added is outermost.

        It is called as ``await middleware(task, call_next)``, also for types without a handler, and
        applies to tasks that start from now on. Can be used as a decorator.

        Raises:
            TypeError: If it cannot be called with these arguments.
        """
        check_function(middleware, "a middleware", "(task, call_next)", 2)
        self._middleware.append(middleware)
        self._cache.clear()
        return middleware

    @property
    def patterns(self) -> Collection[str]:
        """The patterns that have a handler."""
        return self._handlers.keys()

    @property
    def places(self) -> frozenset[Place]:
        """Where the handlers run; empty if one of them runs on the event loop, or there is none."""
        if len(self._places) < len(self._handlers):
            return frozenset()
        return frozenset(self._places.values())

    async def __call__(self, task: ActiveTask) -> object:
        """Handle *task*.

        Raises:
            HandlerNotFoundError: If no pattern matches its type.
        """
        kind = task.type
        return await (self._cache.get(kind) or self._find(kind))(task)

    def _find(self, kind: str) -> AsyncHandler:
        handler = self._inner or self._handlers.get(kind) or self._find_by_prefix(kind)
        for middleware in reversed(self._middleware):
            handler = _wrap(middleware, handler)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[kind] = handler
        return handler

    def _find_by_prefix(self, kind: str) -> AsyncHandler:
        matching = [prefix for prefix in self._prefixes if kind.startswith(prefix)]
        return self._handlers[max(matching, key=len)] if matching else _not_found


def as_async(handler: Handler) -> AsyncHandler:
    """Return *handler* as an async function; a plain one will run in a thread.

    Raises:
        TypeError: If it cannot handle a task.
    """
    check_function(handler, "a handler", "(task)", 1)
    if is_async(handler):
        return cast("AsyncHandler", handler)

    async def call(task: ActiveTask) -> object:
        return await task.in_thread(functools.partial(handler, task))

    return call


def place_of(handler: object) -> Place | None:
    """Return where *handler* runs; None for the event loop."""
    if isinstance(handler, Mux):
        return next(iter(handler.places)) if len(handler.places) == 1 else None
    if not callable(handler):
        return None
    # A plain decorator around an ``async def`` only makes the coroutine in a thread.
    is_plain = not is_async(handler) and not is_async(inspect.unwrap(handler))
    return "threads" if is_plain else None


def places_of(handler: object) -> frozenset[Place]:
    """Return where the handlers in *handler* run; empty if one of them runs on the event loop."""
    if isinstance(handler, Mux):
        return handler.places
    place = place_of(handler)
    return frozenset() if place is None else frozenset({place})


def _wrap(middleware: Middleware, handler: AsyncHandler) -> AsyncHandler:
    forgotten = NotAwaitedError("call_next", f"the middleware {name_of(middleware)}")

    def call_next(task: ActiveTask) -> Awaitable[object]:
        if task.forgotten is None:
            task.forgotten = forgotten  # until the call begins
        return run(task)

    async def run(task: ActiveTask) -> object:
        if task.forgotten is forgotten:
            task.forgotten = None
        return await handler(task)

    def call(task: ActiveTask) -> Awaitable[object]:
        answer = middleware(task, call_next)
        if answer is None:  # pyright: ignore[reportUnnecessaryComparison] - a plain def
            msg = f"the middleware {name_of(middleware)} must be an async def, and await call_next"
            raise TypeError(msg)
        return answer

    return call


async def _not_found(task: ActiveTask) -> None:
    raise HandlerNotFoundError(task.type)
