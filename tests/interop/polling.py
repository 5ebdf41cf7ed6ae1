"""Poll until another process has done something."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

T = TypeVar("T")

PATIENCE: Final = 15
"""Seconds to wait before giving up."""

PAUSE: Final = 0.02
"""Seconds between two polls."""


async def until(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds.

    Raises:
        TimeoutError: If it does not hold in time.
    """
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another process sends no event
            await anyio.sleep(PAUSE)


async def answer(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Return the first answer of *ask* that is not None.

    Raises:
        TimeoutError: If all answers are None.
    """
    with anyio.fail_after(PATIENCE):
        while (found := await ask()) is None:  # noqa: ASYNC110 - as above
            await anyio.sleep(PAUSE)
    return found
