"""Buckets in Redis: for all processes together."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib import resources
from typing import Any, TypeAlias, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisClusterException, RedisError

from member.errors import LimitedError
from member.limits.buckets import Bucket

Driver: TypeAlias = Redis | RedisCluster

_FOLDER = resources.files("member.limits")
LUA = (_FOLDER / "take.lua").read_text("utf-8")
_GIVE_LUA = (_FOLDER / "give.lua").read_text("utf-8")

# The braces put all buckets into one slot of a cluster. A script may use only one slot, and one
# script takes the tokens of several buckets in one step. One node is fast enough.
_PREFIX = "member:{limits}:"

_FAILURES = (RedisError, RedisClusterException, OSError)  # the second one is no RedisError
_MICROSECOND = timedelta(microseconds=1)


class LimiterAwayError(Exception):
    """Redis gave no decision; the text says why."""


class RedisLimiter:
    """Counts in Redis, by its clock. The key of a bucket expires when the bucket is full again."""

    def __init__(self, driver: Driver, *, patience: timedelta) -> None:
        """Use *driver*, which the caller closes; wait for an answer for *patience* at most."""
        self._patience_s = patience.total_seconds()
        self._take = driver.register_script(LUA)
        self._give = driver.register_script(_GIVE_LUA)

    async def take(self, *buckets: Bucket) -> None:
        """Take one token of each of *buckets*, or of none.

        Raises:
            LimitedError: If one of them is empty.
            LimiterAwayError: If Redis does not answer, or answers with an error.
        """
        if not buckets:
            return
        times_us = [time // _MICROSECOND for bucket in buckets for time in _times(bucket)]
        if wait_us := await self._run(self._take, buckets, times_us):
            raise LimitedError(wait_us * _MICROSECOND)

    async def give_back(self, *buckets: Bucket) -> None:
        """Put one token into each of *buckets* that is not full.

        Raises:
            LimiterAwayError: If Redis does not answer, or answers with an error.
        """
        if buckets:
            intervals_us = [bucket.rate.interval // _MICROSECOND for bucket in buckets]
            await self._run(self._give, buckets, intervals_us)

    async def _run(
        self, script: AsyncScript, buckets: Sequence[Bucket], times_us: list[int]
    ) -> int:
        keys = [f"{_PREFIX}{bucket.name}:{bucket.key}" for bucket in buckets]
        try:
            async with asyncio.timeout(self._patience_s):
                return cast("int", await script(keys, times_us))
        except TimeoutError as error:
            msg = f"no answer in {self._patience_s:g} s"
            raise LimiterAwayError(msg) from error
        except _FAILURES as error:
            raise LimiterAwayError(str(error)) from error


def _times(bucket: Bucket) -> Iterator[timedelta]:
    yield bucket.rate.interval
    yield bucket.rate.whole


def open_driver(address: str) -> Driver:
    """Return a client of the Redis at *address*; it connects later.

    Args:
        address: ``host:port``, or a ``redis://``, ``rediss://``, ``unix://`` or
            ``redis-cluster://`` URL.

    Raises:
        ValueError: If the address has another scheme or an unknown option.
    """
    scheme, _, rest = address.rpartition("://")
    match scheme or "redis":
        case "redis" | "rediss" as plain:
            return _single(f"{plain}://{rest}")
        case "unix" | "redis-socket":
            return _single(f"unix://{rest}")
        case "redis-cluster" | "rediss-cluster" as clustered:
            return _cluster(f"{clustered.removesuffix('-cluster')}://{rest}")
        case other:
            msg = f"limits cannot be counted at {other}:// addresses"
            raise ValueError(msg)


def _single(url: str) -> Redis:
    driver = Redis.from_url(url, **_settings())
    pool = driver.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)
    except TypeError as error:  # else each call would raise it
        msg = f"the address of Redis has an option that limits do not support: {error}"
        raise ValueError(msg) from error
    return driver


def _cluster(url: str) -> RedisCluster:
    return RedisCluster.from_url(url, **_settings())


def _settings() -> dict[str, Any]:
    # One retry, on a new connection: a pooled one may be dead, and a token that is taken twice does
    # no harm. `_run` sets the time limit.
    return {
        "protocol": 2,
        "max_connections": 2**31,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 1),
    }
