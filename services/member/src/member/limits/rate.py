"""Rates: how often something may be done, as a value and as a text."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

from member.durations import parse_duration

OFF = "off"
_MOST_TOKENS = 10_000
_SHORTEST, _LONGEST = "1s", "24h"
_PROBLEM = (
    f"must be {OFF}, or how often in which time: 1 to {_MOST_TOKENS} in {_SHORTEST} to {_LONGEST}; "
    "write 10/1m"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The rate of a bucket that refills evenly; a caller may take all tokens of a full one at once.

    Attributes:
        burst: Tokens in a full bucket.
        per: Time in which an empty bucket fills; `whole` is exact, in microseconds.
    """

    burst: int
    per: timedelta

    @property
    def interval(self) -> timedelta:
        """Time in which one token comes back, in whole microseconds."""
        return self.per / self.burst

    @property
    def whole(self) -> timedelta:
        """Time in which an empty bucket fills."""
        return self.interval * self.burst

    def times(self, factor: int) -> "Rate":
        """Return a rate with *factor* times the tokens in the same time."""
        return replace(self, burst=self.burst * factor)

    def in_the_long_run(self) -> "Rate":
        """Return a rate with five times the tokens in 24 times the time."""
        return Rate(burst=self.burst * 5, per=self.per * 24)


def parse_rate(text: str) -> Rate | None:
    """Parse a rate such as ``10/1m``; return None, no limit, for ``off``.

    Raises:
        ValueError: If *text* is no rate; the error says how to write one.
    """
    if text == OFF:
        return None
    burst, _, per = text.partition("/")
    try:
        given = Rate(burst=_tokens(burst), per=parse_duration(per))
    except ValueError:
        raise ValueError(_PROBLEM) from None
    if not parse_duration(_SHORTEST) <= given.per <= parse_duration(_LONGEST):
        raise ValueError(_PROBLEM)
    return given


def _tokens(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= _MOST_TOKENS:
        raise ValueError(_PROBLEM)
    return int(text)
