"""Durations as texts in Go's form."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


def parse_duration(text: str) -> timedelta:
    """Parse a duration in Go's form: ``10s``, ``15m`` or ``1h30m``.

    Raises:
        ValueError: If *text* has another form, or the duration is longer than a `timedelta` can be.
    """
    if not re.fullmatch(rf"(?:{_DURATION.pattern})+", text):
        msg = f"no duration: {text!r}"
        raise ValueError(msg)
    parts = _DURATION.findall(text)
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
    except OverflowError as error:
        msg = "too long for a duration"
        raise ValueError(msg) from error
