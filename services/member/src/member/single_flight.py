"""Call something that may fail or hang, once for all callers at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")

PATIENCE_S = 1.0


class SingleFlight(Generic[Answer]):
    """Makes one call at a time; callers that ask during the call share its answer.

    A call that hangs must end before the next one begins.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        """Get answers from *ask*."""
        self._ask = ask
        self._asking: asyncio.Task[Answer] | None = None

    async def answer(self) -> Answer:
        """Return the answer.

        Raises:
            TimeoutError: If there is no answer within `PATIENCE_S`.
            Exception: The error of the call.
        """
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._call())
            asking.add_done_callback(_retrieve_error)
        # Not asyncio.timeout: the cleanup of a hanging connection may hang, too.
        await asyncio.wait({asking}, timeout=PATIENCE_S)
        if not asking.done() or asking.cancelled():
            asking.cancel()
            msg = f"no answer in {PATIENCE_S:g} s"
            raise TimeoutError(msg)
        return asking.result()

    async def aclose(self) -> None:
        """Cancel a call that still runs."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=PATIENCE_S)

    async def _call(self) -> Answer:
        return await self._ask()


def _retrieve_error(asking: asyncio.Task[Any]) -> None:
    """Retrieve the error of a call that nobody waits for, so that asyncio does not log it."""
    if not asking.cancelled():
        asking.exception()
