"""Wait for what happens elsewhere, without guessing how long it takes."""

import inspect
import time
from collections.abc import Awaitable, Callable

import anyio

LONGEST_PAUSE_S = 0.05
PATIENCE_S = 60.0
"""Seconds after which what has not happened will not happen, however busy the machine is."""


class Lapse:
    """The time since this was made, in Unix seconds: ``score in lapse``.

    It says of an instant that it was chosen meanwhile, however long that was. Whole seconds are in
    it, too, which were rounded up, by the client and by the script.
    """

    def __init__(self) -> None:
        """Begin now."""
        self._began_s = time.time()

    def __contains__(self, at_s: float) -> bool:
        """Tell whether *at_s* was between the beginning and now."""
        return self._began_s - 1 < at_s < time.time() + 2

    def __repr__(self) -> str:
        """Show both ends."""
        return f"<Lapse from {self._began_s:.1f} to {time.time():.1f}>"


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    timeout: float = PATIENCE_S,  # noqa: ASYNC109  # it says what it waited for, which a cancel scope cannot
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
