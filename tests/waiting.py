"""Wait for what happens elsewhere, without guessing how long it takes."""

import inspect
import time
from collections.abc import Awaitable, Callable

import anyio

LONGEST_PAUSE_S = 0.05


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    timeout: float = 5,  # noqa: ASYNC109  # it says what it waited for, which a cancel scope cannot
) -> None:
    """Return once *predicate* holds; look often at first, then less and less.

    Args:
        predicate: A function, plain or async, whose result is read as true or false.
        timeout: Seconds to wait at most.

    Raises:
        TimeoutError: If it does not come to hold.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while not await _holds(predicate):
        if time.monotonic() > deadline:
            msg = f"waited {timeout:g} s for {_name(predicate)}"
            raise TimeoutError(msg)
        await anyio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


async def _holds(predicate: Callable[[], object | Awaitable[object]]) -> bool:
    result = predicate()
    return bool(await result if inspect.isawaitable(result) else result)


def _name(predicate: Callable[[], object]) -> str:
    """Say what is waited for: a lambda by its place, for it has no name."""
    code = getattr(predicate, "__code__", None)
    name = getattr(predicate, "__qualname__", repr(predicate))
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name
