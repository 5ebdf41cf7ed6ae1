"""The time and waiting, in one place, so that tests can bring their own clock."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Prevent the call, if it has not been made."""
        ...


class Clock:
    """The machine's clock. Subclass it to control time in a test."""

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for lease ends and deadlines."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds*."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call *call* in the running event loop after *seconds*."""
        return asyncio.get_running_loop().call_later(seconds, call)
