"""Buckets of tokens, and the one decision about them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from member.errors import LimitedError
from member.limits.rate import Rate

_NOTHING = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The tokens of one caller, or of one account, for one kind of call.

    Attributes:
        name: What is counted, ``login:address``.
        key: Whose it is, ``203.0.113.7``; nothing that somebody typed stands in it as it was typed.
    """

    name: str
    key: str
    rate: Rate


class Limiter(Protocol):
    """Gives out tokens."""

    async def take(self, *buckets: Bucket) -> None:
        """Take one token of each of *buckets*, or of none.

        Raises:
            LimitedError: If one of them is empty.
        """
        ...

    async def give_back(self, *buckets: Bucket) -> None:
        """Put one token into each of *buckets* that is not full."""
        ...


def taken(full_at: Mapping[Bucket, datetime], now: datetime) -> dict[Bucket, datetime]:
    """Return when each bucket is full again, one token of each taken *now*.

    All that is known of a bucket is when it is full again (the generic cell rate algorithm): an
    interval of its rate later for each token that is missing. What is known never counts for more
    than an empty bucket, so neither a clock that was set back nor a rate that was changed keeps
    anybody waiting for longer than it takes to fill one. ``take.lua`` decides the same.

    Args:
        full_at: When each bucket is full again; *now*, or any time before, if it is full.
        now: Current time, UTC.

    Raises:
        LimitedError: If one of them is empty.
    """
    after = {bucket: now + _missing(bucket.rate, at - now) for bucket, at in full_at.items()}
    wait = max((at - now - bucket.rate.whole for bucket, at in after.items()), default=_NOTHING)
    if wait > _NOTHING:
        raise LimitedError(wait)
    return after


def given_back(bucket: Bucket, full_at: datetime) -> datetime:
    """Return when *bucket* is full again with one more token in it. ``give.lua`` does the same."""
    return full_at - bucket.rate.interval


def _missing(rate: Rate, until_full: timedelta) -> timedelta:
    """Return how long a bucket takes to fill after one more token is taken."""
    return min(max(until_full, _NOTHING), rate.whole) + rate.interval


def emptiness(bucket: Bucket, full_at: datetime, now: datetime) -> float:
    """Return which part of *bucket* is missing; 0 or less if it is full."""
    return (full_at - now) / bucket.rate.whole
