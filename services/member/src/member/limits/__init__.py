"""Limits for calls that are expensive, or that an attacker could repeat until one works."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import structlog

from member.limits.fallback import FallbackLimiter
from member.limits.memory import MemoryLimiter
from member.limits.policy import Guesser, Limits, Rates
from member.limits.redis import Driver, RedisLimiter, open_driver

__all__ = ["Guesser", "Limits", "Rates", "open_limits"]

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE = timedelta(milliseconds=250)
"""Longest wait for Redis before this process decides alone."""


@asynccontextmanager
async def open_limits(redis_address: str, rates: Rates) -> AsyncGenerator[Limits]:
    """Yield limits that all processes share at *redis_address*.

    While Redis is away each process counts for itself. With an address of sentinels it always does.
    Nothing is sent before the first call.
    """
    memory = MemoryLimiter()
    driver = _driver(redis_address)
    if driver is None:
        yield Limits(memory, rates)
        return
    async with aclosing(driver):
        yield Limits(FallbackLimiter(RedisLimiter(driver, patience=PATIENCE), memory), rates)


def _driver(redis_address: str) -> Driver | None:
    try:
        return open_driver(redis_address)
    except ValueError as error:
        log.warning("limits are counted only in this process", reason=str(error))
        return None
