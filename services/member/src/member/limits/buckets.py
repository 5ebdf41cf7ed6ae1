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
        name: What the bucket counts, such as ``login:address``.
        key: Owner of the bucket, such as ``203.0.113.7``; typed text is in it only as a hash.
    """

    name: str
    key: str
    rate: Rate


class Limiter(Protocol):
    """Takes tokens from buckets, and gives them back."""

    async def take(self, *buckets: Bucket) -> None:
        """Take one token of each of *buckets*, or of none.

        Raises:
            LimitedError: If one of them is empty.
        """
        ...

    async def give_back(self, *buckets: Bucket) -> None:
        """Put one token into each of *buckets* that is not full."""
        ...


def take_tokens(full_at: Mapping[Bucket, datetime], now: datetime) -> dict[Bucket, datetime]:
    """Return when each bucket is full again, after one token of each is taken *now*.

    The only stored state of a bucket is when it is full again (the generic cell rate algorithm):
    one interval of its rate later for each missing token. A stored time never counts for more than
    an empty bucket. So after a clock was set back, or a rate was changed, nobody waits longer than
    it takes to fill one bucket. ``take.lua`` makes the same decision.

    Args:
        full_at: When each bucket is full again; *now* or earlier if it is full.
        now: Current time, UTC.

    Raises:
        LimitedError: If one of them is empty.
    """
    after = {bucket: now + _time_to_fill(bucket.rate, at - now) for bucket, at in full_at.items()}
    wait = max((at - now - bucket.rate.whole for bucket, at in after.items()), default=_NOTHING)
    if wait > _NOTHING:
        raise LimitedError(wait)
    return after


def give_back_token(bucket: Bucket, full_at: datetime) -> datetime:
    """Return when *bucket* is full again with one more token. ``give.lua`` does the same."""
    return full_at - bucket.rate.interval


def _time_to_fill(rate: Rate, until_full: timedelta) -> timedelta:
    """Return how long a bucket takes to fill after one more token is taken."""
    return min(max(until_full, _NOTHING), rate.whole) + rate.interval


def emptiness(bucket: Bucket, full_at: datetime, now: datetime) -> float:
    """Return the missing part of *bucket*: 1 if it is empty, 0 or less if it is full."""
    return (full_at - now) / bucket.rate.whole
