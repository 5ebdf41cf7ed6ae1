"""The function of a user that opens and closes what the handlers of an app share."""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, cast

A = TypeVar("A")


def lifespan_context(
    lifespan: Callable[[A], object], app: A, state: dict[str, Any]
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Return what makes a context that enters *lifespan* with *app* and updates *state*.

    Raises:
        TypeError: If *lifespan* is not an ``async def`` that yields.
    """
    if not callable(lifespan) or _never_yields(lifespan):
        msg = f"a lifespan must be an async def that takes the app and yields, got {lifespan!r}"
        raise TypeError(msg)
    # A function that yields makes a generator, whatever its annotation says.
    context = asynccontextmanager(cast("Callable[[A], AsyncGenerator[Any]]", lifespan))

    @asynccontextmanager
    async def enter() -> AsyncGenerator[None]:
        async with context(app) as yielded:
            state.update(_check_state(yielded))
            yield

    return enter


def _never_yields(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)


def _check_state(state: object) -> Mapping[str, Any]:
    if state is None:
        return {}
    if not isinstance(state, Mapping):
        msg = f"a lifespan must yield a mapping, or nothing, got {state!r}"
        raise TypeError(msg)
    return cast("Mapping[str, Any]", state)
