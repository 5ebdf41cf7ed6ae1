"""Open an app for as long as a web application runs."""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any, Final, TypeAlias, TypeVar

from starlette.applications import Starlette

from pyasynq.app import App
from pyasynq.server.config import ServerOptions

STATE: Final = "pyasynq"
"""Name of the app in the state of a request, and in that of the web application."""

W = TypeVar("W", bound=Starlette)
State: TypeAlias = Mapping[str, Any]
Lifespan: TypeAlias = Callable[[W], AbstractAsyncContextManager[State | None]]


def lifespan(
    app: App,
    own: Lifespan[W] | None = None,
    *,
    worker: bool | ServerOptions = False,
) -> Callable[[W], AbstractAsyncContextManager[State]]:
    """Return a lifespan of FastAPI or Starlette that opens the client of *app*.

    Args:
        app: Your tasks.
        own: Your own lifespan. It runs while the client is open, and its state is kept.
        worker: Whether a worker, and a scheduler of the periodic tasks, run in this process;
            options of the server instead of True. For development: they start after *own*, and when
            the application stops, running tasks get the usual time to end.

    Raises:
        TypeError: If *own* is not a lifespan.
    """
    _check(own)

    @asynccontextmanager
    async def run(web: W) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app)
            state = None if own is None else await stack.enter_async_context(own(web))
            if worker is not False:
                await stack.enter_async_context(_working(app, {} if worker is True else worker))
            # Tests that call the application without a server give requests no state of their own.
            setattr(web.state, STATE, app)
            yield {**(state or {}), STATE: app}

    return run


@asynccontextmanager
async def _working(app: App, options: ServerOptions) -> AsyncGenerator[None]:
    async with app.server(**options).running():
        scheduler = app.scheduler().running() if app.periodic_tasks else nullcontext()
        async with scheduler:
            yield


def _check(own: object) -> None:
    if own is None:
        return
    if not callable(own) or inspect.isasyncgenfunction(own) or inspect.iscoroutinefunction(own):
        msg = f"a lifespan must be a function with @asynccontextmanager above it, got {own!r}"
        raise TypeError(msg)
