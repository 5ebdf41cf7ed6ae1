"""The limiter that still works while Redis is away."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import structlog

from member.errors import LimitedError
from member.limits.buckets import Bucket, Limiter
from member.limits.redis import LimiterAwayError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Monotonic: TypeAlias = Callable[[], float]

PAUSE = timedelta(seconds=1)
"""While Redis is away, one call tries it after each pause; no other call waits for it."""


class FallbackLimiter:
    """Lets Redis decide, or this process while Redis is away."""

    def __init__(
        self, redis: Limiter, memory: Limiter, *, monotonic: Monotonic = time.monotonic
    ) -> None:
        """Ask *redis* first, which may raise `LimiterAwayError`."""
        self._redis = redis
        self._memory = memory
        self._monotonic = monotonic
        self._away = False
        self._ask_at_s = 0.0

    async def take(self, *buckets: Bucket) -> None:
        """Take one token of each of *buckets*, or of none.

        Raises:
            LimitedError: If one of them is empty.
        """
        if self._may_ask_redis() and await self._redis_decides(*buckets):
            return
        await self._memory.take(*buckets)

    async def give_back(self, *buckets: Bucket) -> None:
        """Put one token into each of *buckets* that is not full; here while Redis is away."""
        if self._away:
            await self._memory.give_back(*buckets)
            return
        try:
            await self._redis.give_back(*buckets)
        except LimiterAwayError as error:
            self._note_away(error)

    def _may_ask_redis(self) -> bool:
        if not self._away:
            return True
        now_s = self._monotonic()
        if now_s < self._ask_at_s:
            return False
        self._ask_at_s = (
            now_s + PAUSE.total_seconds()
        )  # before the answer: no other call asks meanwhile
        return True

    async def _redis_decides(self, *buckets: Bucket) -> bool:
        try:
            await self._redis.take(*buckets)
        except LimiterAwayError as error:
            self._note_away(error)
            return False
        except LimitedError:
            self._note_back()
            raise
        self._note_back()
        return True

    def _note_away(self, error: LimiterAwayError) -> None:
        self._ask_at_s = self._monotonic() + PAUSE.total_seconds()
        if not self._away:
            log.warning("limits are counted in this process: Redis is away", error=str(error))
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            log.info("limits are counted in Redis again")
        self._away = False
