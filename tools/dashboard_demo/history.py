"""Copy the counts of the demo's first minutes into the hour before, so that charts are full."""

import asyncio
import random
import re
from typing import Final

from redis.asyncio import Redis

MINUTES: Final = 60
RECORDED: Final = 3
"""Whole minutes that must have been recorded before they are copied."""

_KEY: Final = re.compile(r"(asynq:\{.+\}:runs:60:)(\d+)")


async def fill_hour(url: str) -> None:
    """Wait until some minutes are recorded, then copy them."""
    await asyncio.sleep(60 * (RECORDED + 1) + 5)
    async with Redis.from_url(url, decode_responses=True) as redis:
        spans: dict[str, list[int]] = {}
        async for key in redis.scan_iter(match="asynq:{*}:runs:60:*", count=1000):
            if match := _KEY.fullmatch(key):
                spans.setdefault(match[1], []).append(int(match[2]))
        for prefix, starts in spans.items():
            await _copy(redis, prefix, sorted(starts))


async def _copy(redis: Redis, prefix: str, starts: list[int]) -> None:
    # The first minute and the present one are not whole.
    whole = starts[1:-1] or starts
    for minute in range(1, MINUTES):
        source = f"{prefix}{random.choice(whole)}"
        await redis.copy(source, f"{prefix}{starts[0] - 60 * minute}")
