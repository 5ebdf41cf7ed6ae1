"""How often something may be done, as a value and as a text."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

from member.durations import duration

OFF = "off"
_MOST_TOKENS = 10_000
_SHORTEST, _LONGEST = "1s", "24h"
_PROBLEM = (
    f"must be {OFF}, or how often in which time: 1 to {_MOST_TOKENS} in {_SHORTEST} to {_LONGEST}; "
    "write 10/1m"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A bucket of tokens that refills evenly; who finds it full may take all of them at once.

    Attributes:
        burst: Tokens in a full bucket.
        per: Time in which an empty bucket fills, give or take the microseconds of `interval`.
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
        """Return the rate at which *factor* as much may be done in the same time."""
        return replace(self, burst=self.burst * factor)

    def in_the_long_run(self) -> "Rate":
        """Return a rate that lets five times as much be done, in 24 times the time."""
        return Rate(burst=self.burst * 5, per=self.per * 24)


def rate(text: str) -> Rate | None:
    """Return the rate that *text* gives, such as ``10/1m``; None, no limit, for ``off``.

    Raises:
        ValueError: If it gives none; it says what would be right.
    """
    if text == OFF:
        return None
    burst, _, per = text.partition("/")
    try:
        given = Rate(burst=_tokens(burst), per=duration(per))
    except ValueError:
        raise ValueError(_PROBLEM) from None
    if not duration(_SHORTEST) <= given.per <= duration(_LONGEST):
        raise ValueError(_PROBLEM)
    return given


def _tokens(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= _MOST_TOKENS:
        raise ValueError(_PROBLEM)
    return int(text)
