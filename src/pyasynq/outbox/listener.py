"""Hear from PostgreSQL that another process has written tasks."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pyasynq.runtime.actor import Backoff
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.outbox")


async def listen(engine: AsyncEngine, channel: str, wake: Callable[[], None]) -> None:
    """Call *wake* for what is told on *channel*, until cancelled.

    Keeps one connection of the pool. Returns at once where the driver cannot listen: asyncpg can.
    """
    if engine.dialect.driver != "asyncpg":
        return
    backoff = Backoff()
    while True:
        try:
            await _listen_once(engine, channel, wake, backoff)
        except Exception as error:  # noqa: BLE001 - the driver's own kinds; the relay looks by itself
            log.debug("cannot listen on %s: %s", channel, error)
        await asyncio.sleep(backoff.next_s())


async def _listen_once(
    engine: AsyncEngine, channel: str, wake: Callable[[], None], backoff: Backoff
) -> None:
    """Listen on one connection until it is lost."""
    lost = asyncio.Event()

    def lose(*_driver: object) -> None:
        lost.set()

    def hear(*_told: object) -> None:
        wake()

    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        try:
            driver.add_termination_listener(lose)
            await driver.add_listener(channel, hear)
            backoff.reset()
            wake()  # for what was told before
            await lost.wait()
        finally:
            await connection.invalidate()  # the pool must not hand out one that listens
