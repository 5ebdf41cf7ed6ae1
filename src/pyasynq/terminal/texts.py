"""How values look in a cell: short, and without anything that a terminal would obey. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from rich.text import Text

from pyasynq.core import safe_text

STATE_STYLES: Final = {
    "active": "bold #4fc3f7",
    "pending": "#82aaff",
    "aggregating": "#c792ea",
    "scheduled": "#9fa8da",
    "retry": "#ffb74d",
    "archived": "bold #ef5350",
    "completed": "#81c784",
}
"""Colours of states, always beside their names: a terminal may have none."""

BARS: Final = "▁▂▃▄▅▆▇█"

TAB: Final = "    "

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"))
_SIZES: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))
LONGEST_WHOLE: Final = 99_999
"""Largest number that is shown in full in a narrow column."""


def safe(text: str, *, lines: bool = False) -> str:
    """Return what `safe_text.safe` does, with spaces for tabs: a cell has no stops for them."""
    return safe_text.safe(text, lines=lines).replace("\t", TAB)


def state(name: str) -> Text:
    """Return the name of a state in its colour."""
    return Text(name, STATE_STYLES.get(name, ""))


def count(number: int) -> str:
    """Return a number in at most six characters."""
    if abs(number) <= LONGEST_WHOLE:
        return str(number)
    size, unit = next(it for it in _SIZES if abs(number) >= it[0])
    return f"{number / size:.{0 if abs(number) >= 100 * size else 1}f}{unit}"


def tasks(number: int) -> str:
    """Return the number of tasks in words."""
    return f"{number:,} task{'' if number == 1 else 's'}"


def match(number: int) -> str:
    """Return the verb that follows that number of tasks which are found."""
    return "matches" if number == 1 else "match"


def rate(number: float | None) -> str:
    """Return a rate; a dash if it is not known yet."""
    if number is None:
        return "-"
    return f"{number:.1f}" if number < 100 else count(round(number))  # noqa: PLR2004


def share(part: int, whole: int) -> str:
    """Return *part* of *whole* as percent."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def span(duration: timedelta | None) -> str:
    """Return a duration in its two largest units, or in milliseconds; a dash for None."""
    if duration is None:
        return "-"
    seconds = duration.total_seconds()
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f}ms"
    sign, seconds = ("-" if seconds < 0 else ""), abs(round(seconds))
    for size, unit in _UNITS:
        if seconds >= size:
            smaller = {"d": (3600, "h"), "h": (60, "m"), "m": (1, "s")}[unit]
            rest = seconds % size // smaller[0]
            return f"{sign}{seconds // size}{unit}" + (f"{rest}{smaller[1]}" if rest else "")
    return f"{sign}{seconds}s"


def wait(duration: timedelta) -> str:
    """Return how long the oldest task waits; a dash if none does."""
    return span(duration) if duration else "-"


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago *at* was, or how long it is until then; a dash for None."""
    if at is None:
        return "-"
    past = now - at
    if timedelta(0) <= past < timedelta(seconds=1):
        return "now"
    return f"{span(past)} ago" if past > timedelta(0) else f"in {span(-past)}"


def instant(at: datetime | None) -> str:
    """Return *at* in local time; a dash for None."""
    return "-" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def sparkline(values: Sequence[int] | None, width: int) -> str:
    """Return *values* as bars, as many as fit into *width*, the last one at the right."""
    if not values:
        return ""
    size = -(-len(values) // width)
    ends = reversed(range(len(values), 0, -size))
    sums = [sum(values[max(0, end - size) : end]) for end in ends]
    most = max(sums)
    return "".join(BARS[(it * len(BARS) - 1) // most] if it else " " for it in sums)
