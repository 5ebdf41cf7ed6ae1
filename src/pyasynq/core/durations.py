"""Durations as Go writes them: ``1h30m0s``, ``250ms``, ``0s``.

Source:
    Protocol section 5.4 (Go's ``time.Duration`` and ``time.ParseDuration``).
"""

import re
from datetime import timedelta
from typing import Final

MICROSECOND: Final = timedelta(microseconds=1)
MILLISECOND: Final = timedelta(milliseconds=1)
SECOND: Final = timedelta(seconds=1)

_PART: Final = re.compile(r"([0-9]+)?(?:\.([0-9]*))?(h|ms|m|s|us|µs|μs|ns)")
_UNIT_NS: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "\N{MICRO SIGN}s": 1_000,
    "\N{GREEK SMALL LETTER MU}s": 1_000,
    "ns": 1,
}
_LONGEST_NS: Final = 2**63 - 1


def format_duration(duration: timedelta) -> str:
    """Return *duration* as Go writes it."""
    if duration < timedelta(0):
        return f"-{format_duration(-duration)}"
    if duration >= SECOND:
        return _format_long(duration)
    micros = duration // MICROSECOND
    if duration >= MILLISECOND:
        return f"{_decimal(micros, 3)}ms"
    return f"{micros}\N{MICRO SIGN}s" if micros else "0s"


def parse_duration(text: str) -> timedelta:
    """Return the duration that *text* gives; parts of a microsecond are dropped.

    Raises:
        ValueError: If Go would refuse it.
    """
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    ns = 0 if unsigned == "0" else _nanoseconds(unsigned)
    duration = MICROSECOND * (ns // 1000)
    return -duration if text.startswith("-") else duration


def _format_long(duration: timedelta) -> str:
    minutes, rest = divmod(duration, timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest // MICROSECOND, 6)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(number: int, places: int) -> str:
    """Return *number* / 10 ** *places* as text, without zeros at the end."""
    whole, fraction = divmod(number, 10**places)
    return f"{whole}.{fraction:0{places}}".rstrip("0").rstrip(".")


def _nanoseconds(text: str) -> int:
    total, at = 0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or not (part[1] or part[2]):
            break
        total += _part_ns(part[1] or "0", part[2] or "0", _UNIT_NS[part[3]])
        at = part.end()
    if not text or at < len(text) or total > _LONGEST_NS:
        msg = f"{text!r} is no duration: write 8s, 1m30s or 250ms"
        raise ValueError(msg)
    return total


def _part_ns(whole: str, fraction: str, unit_ns: int) -> int:
    scale: int = 10 ** len(fraction)
    return int(whole) * unit_ns + int(fraction) * unit_ns // scale
