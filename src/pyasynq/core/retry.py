"""How long to wait before a failed task runs again."""

from datetime import timedelta
from typing import Final

STEPS: Final = 30
LONGEST: Final = 10 * 365 * 86_400
"""Ten years in seconds; the formula exceeds it after about 130 retries."""


def asynq_delay(retried: int, random: float) -> timedelta:
    """Return the reference's delay: retried⁴ + 15 s, plus up to 29 × (retried + 1) s at random.

    Args:
        retried: Retries already spent; 0 gives 15–44 s, 24 about 3.8 days.
        random: A number in [0, 1).

    Source:
        Protocol section 6.6 (asynq v0.26.0 ``DefaultRetryDelayFunc``).
    """
    seconds = retried**4 + 15 + int(random * STEPS) * (retried + 1)
    return timedelta(seconds=min(seconds, LONGEST))
