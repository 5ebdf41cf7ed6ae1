"""Ask something that may be away, or hang."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")

PATIENCE_S = 1.0


class Question(Generic[Answer]):
    """Asks one thing; whoever asks at the same time shares the answer.

    A thing that hangs is not asked again before it has let go.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        """Call *ask*."""
        self._ask = ask
        self._asking: asyncio.Task[Answer] | None = None

    async def answer(self) -> Answer:
        """Return the answer.

        Raises:
            TimeoutError: If there is none within `PATIENCE_S`.
            Exception: What the call raised.
        """
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._asked())
            asking.add_done_callback(_seen)
        # Not asyncio.timeout: to clean up after a connection that hangs can hang as well.
        await asyncio.wait({asking}, timeout=PATIENCE_S)
        if not asking.done() or asking.cancelled():
            asking.cancel()
            msg = f"no answer in {PATIENCE_S:g} s"
            raise TimeoutError(msg)
        return asking.result()

    async def aclose(self) -> None:
        """End what was asked last."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=PATIENCE_S)

    async def _asked(self) -> Answer:
        return await self._ask()


def _seen(asking: asyncio.Task[Any]) -> None:
    """Look at the error of a call that nobody waits for any more, or asyncio complains."""
    if not asking.cancelled():
        asking.exception()
