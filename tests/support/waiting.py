"""Wait until a condition holds, without guessing how long it takes."""

import inspect
import time
from collections.abc import Awaitable, Callable

import anyio

LONGEST_PAUSE_S = 0.05
PATIENCE_S = 60.0
"""Seconds to wait before giving up; long enough for a very busy machine."""


class Lapse:
    """The time from its creation until now: ``score in lapse`` tests an instant in Unix seconds.

    So a test can assert that an instant was chosen meanwhile, however long that took. Instants that
    the client and the script rounded up to whole seconds are included.
    """

    def __init__(self) -> None:
        """Start the lapse now."""
        self._began_s = time.time()

    def __contains__(self, at_s: float) -> bool:
        """Tell whether *at_s* is between the start and now."""
        return self._began_s - 1 < at_s < time.time() + 2

    def __repr__(self) -> str:
        """Show start and end."""
        return f"<Lapse from {self._began_s:.1f} to {time.time():.1f}>"


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    timeout: float = PATIENCE_S,  # noqa: ASYNC109  # unlike a cancel scope, the error names the predicate
) -> None:
    """Return when *predicate* holds; call it often at first, then less often.

    Args:
        predicate: A function, plain or async, whose result counts as true or false.
        timeout: Longest wait in seconds.

    Raises:
        TimeoutError: If it does not hold in time.
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
    """Return the name of *predicate*, with its file and line, because lambdas have no name."""
    code = getattr(predicate, "__code__", None)
    name = getattr(predicate, "__qualname__", repr(predicate))
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name
