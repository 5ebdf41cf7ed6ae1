"""Get notifications from PostgreSQL when another process has written tasks."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pyasynq.runtime.actor import FIRST_BACKOFF_S, Actor, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.outbox")


class Listener(Actor):
    """Calls a function at each notification on a channel; uses one connection of the pool."""

    name = "listener"
    # The driver has its own classes of errors; without notifications the relay polls.
    failures: tuple[type[Exception], ...] = (Exception,)

    def __init__(
        self, engine: AsyncEngine, channel: str, wake: Callable[..., None], *, clock: Clock
    ) -> None:
        """Call *wake* at each notification on *channel*; *engine* must use asyncpg."""
        super().__init__(clock=clock, outages=OutageLog(report=self._report_outage))
        self._engine = engine
        self._channel = channel
        self._wake = wake

    async def step(self) -> float:
        """Listen on one connection until it is lost."""
        lost = asyncio.Event()

        def on_lost(*_driver: object) -> None:
            lost.set()

        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                driver.add_termination_listener(on_lost)
                await driver.add_listener(self._channel, self._wake)
                self._wake()  # for notifications before this connection
                await lost.wait()
            finally:
                await connection.invalidate()  # the pool must not reuse a connection that listens
        return FIRST_BACKOFF_S

    def _report_outage(self, error: Exception | None) -> None:
        if error is not None:
            log.debug("cannot listen on %s: %s", self._channel, error)
