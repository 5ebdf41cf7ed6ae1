"""Buckets in the memory of this process: for a single process, and while Redis is away."""

from datetime import datetime

from member.clock import Clock, utc_now
from member.limits.buckets import Bucket, emptiness, give_back_token, take_tokens

MOST_BUCKETS = 10_000
"""About 5 MB, even if callers invent keys."""


class MemoryLimiter:
    """Counts in this process, in limited memory."""

    def __init__(self, *, most: int = MOST_BUCKETS, clock: Clock = utc_now) -> None:
        """Keep *most* buckets at most; 2 or more."""
        self._most = most
        self._clock = clock
        self._full_at: dict[Bucket, datetime] = {}

    async def take(self, *buckets: Bucket) -> None:
        """Take one token of each of *buckets*, or of none.

        Raises:
            LimitedError: If one of them is empty.
        """
        now = self._clock()
        self._full_at |= take_tokens({b: self._full_at.get(b, now) for b in buckets}, now)
        if len(self._full_at) > self._most:
            self._forget(now)

    async def give_back(self, *buckets: Bucket) -> None:
        """Put one token into each of *buckets* that is not full."""
        for bucket in buckets:
            if full_at := self._full_at.pop(bucket, None):
                self._full_at[bucket] = give_back_token(bucket, full_at)

    def _forget(self, now: datetime) -> None:
        """Forget the fuller half, which loses the fewest counts, once per *most* / 2 new buckets.

        An attacker who wants an empty bucket forgotten has to empty that number of others first.
        """
        emptiest_first = sorted(
            self._full_at.items(), key=lambda item: emptiness(*item, now), reverse=True
        )
        self._full_at = dict(emptiest_first[: self._most // 2])

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._full_at)
