"""Waiting for what other processes do."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

T = TypeVar("T")

PATIENCE: Final = 15
"""Seconds after which what has not happened will not happen."""

PAUSE: Final = 0.02
"""Seconds between two looks."""


async def until(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds.

    Raises:
        TimeoutError: If it does not come to hold.
    """
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for sends no event
            await anyio.sleep(PAUSE)


async def answer(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Return the first answer that is not None.

    Raises:
        TimeoutError: If there is none.
    """
    with anyio.fail_after(PATIENCE):
        while (found := await ask()) is None:  # noqa: ASYNC110 - as above
            await anyio.sleep(PAUSE)
    return found
