"""Cron texts, and when they are due.

Pure but for the time zones, which come from the system's zone files.

Source:
    Protocol section 7.1 (robfig/cron v3 ``ParseStandard``, ``SpecSchedule.Next``, ``Every``).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

from pyasynq.core import durations
from pyasynq.core.errors import OptionError

SECOND: Final = timedelta(seconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
YEARS_SEARCHED: Final = 5

_MINUTE_S: Final = 60
_HOUR_S: Final = 60 * _MINUTE_S
_DAY_S: Final = 24 * _HOUR_S
_NOON: Final = 12


class Schedule(Protocol):
    """When something is due."""

    def next(self, after: datetime) -> datetime | None:
        """Return the first tick after *after*, UTC and in whole seconds; None if there is none."""
        ...

    def anchored(self, at: datetime) -> "Schedule":
        """Return this schedule; ticks that are relative to some instant are so to *at*."""
        ...


class Every:
    """Ticks at equal distances, from the anchor or from whatever instant is asked for.

    Source:
        robfig/cron v3 ``ConstantDelaySchedule``: at least a second, cut to whole seconds.
    """

    def __init__(self, period: timedelta, anchor: datetime | None = None) -> None:
        """Tick each *period*; without *anchor* the next tick is one period from any instant."""
        self.period: timedelta = max(period // SECOND, 1) * SECOND
        self._anchor = anchor

    def next(self, after: datetime) -> datetime | None:
        """Return the first tick after *after*."""
        anchor = (self._anchor or after).astimezone(UTC).replace(microsecond=0)
        passed = max((after - anchor) // self.period, 0)
        return anchor + self.period * (passed + 1)

    def anchored(self, at: datetime) -> "Every":
        """Return this schedule with ticks at whole periods from *at*."""
        return Every(self.period, at)


class Field(msgspec.Struct, frozen=True):
    """What one field of a text allows.

    Attributes:
        values: The values.
        starred: It is written as ``*`` or ``?`` in single steps.
    """

    values: frozenset[int]
    starred: bool = False


class Calendar:
    """Ticks at the minutes, hours, days of month, months and weekdays that five fields allow.

    Source:
        robfig/cron v3 ``SpecSchedule``, with what it does where clocks are changed: an hour that is
        left out is skipped that day, one that comes twice matches twice.
    """

    def __init__(self, fields: Sequence[Field], zone: tzinfo) -> None:
        """Tick in *zone* as *fields* say: minute, hour, day of month, month, weekday."""
        minutes, hours, self._days, months, self._weekdays = fields
        self._minutes = minutes.values
        self._hours = hours.values
        self._months = months.values
        self._zone = zone

    def next(self, after: datetime) -> datetime | None:
        """Return the first tick after *after*; None if none comes within five years."""
        if not (self._minutes and self._hours and self._months):
            return None
        walk = _Walk((after - EPOCH) // SECOND + 1, self._zone)
        last_year = walk.local.year + YEARS_SEARCHED
        while walk.local.year <= last_year:
            if (
                self._reaches_month(walk)
                and self._reaches_day(walk)
                and self._reaches_hour(walk)
                and self._reaches_minute(walk)
                and self._reaches_second(walk)
            ):
                return EPOCH + walk.at_s * SECOND
        return None

    def anchored(self, at: datetime) -> "Calendar":
        """Return this schedule: it is relative to nothing."""
        return self

    # Each step walks to the first value that is allowed. It says False when the field above it has
    # moved on, which then must be looked at again.

    def _reaches_month(self, walk: "_Walk") -> bool:
        while walk.local.month not in self._months:
            walk.round("month")
            walk.add(months=1)
            if walk.local.month == 1:
                return False
        return True

    def _reaches_day(self, walk: "_Walk") -> bool:
        while not self._day_matches(walk.local):
            walk.round("day")
            walk.add(days=1)
            # Where clocks are changed at midnight, the day may begin an hour off.
            hour = walk.local.hour
            walk.shift(_HOUR_S * (24 - hour if hour > _NOON else -hour))
            if walk.local.day == 1:
                return False
        return True

    def _reaches_hour(self, walk: "_Walk") -> bool:
        while walk.local.hour not in self._hours:
            walk.round("hour")
            walk.shift(_HOUR_S)
            if walk.local.hour == 0:
                return False
        return True

    def _reaches_minute(self, walk: "_Walk") -> bool:
        while walk.local.minute not in self._minutes:
            walk.round("minute")
            walk.shift(_MINUTE_S)
            if walk.local.minute == 0:
                return False
        return True

    def _reaches_second(self, walk: "_Walk") -> bool:
        second = walk.local.second
        walk.shift(-second % _MINUTE_S)
        return second == 0

    def _day_matches(self, day: datetime) -> bool:
        in_month = day.day in self._days.values
        in_week = day.isoweekday() % 7 in self._weekdays.values
        if self._days.starred or self._weekdays.starred:
            return in_month and in_week
        return in_month or in_week


class _Walk:
    """An instant on its way forward, as the clocks of a zone show it.

    Attributes:
        at_s: Unix seconds.
        local: The same in the zone.
    """

    def __init__(self, at_s: int, zone: tzinfo) -> None:
        self._zone = zone
        self._rounded = False
        self._go_to(at_s)

    def round(self, unit: str) -> None:
        """Cut off what is below *unit*, but only the first time anything is cut off."""
        if self._rounded:
            return
        self._rounded = True
        if unit == "minute":
            self._go_to(self.at_s - self.at_s % _MINUTE_S)
            return
        wall = _wall(self.local).replace(minute=0, second=0)
        if unit != "hour":
            wall = wall.replace(hour=0)
        if unit == "month":
            wall = wall.replace(day=1)
        self._go_to(self._instant(wall))

    def add(self, *, months: int = 0, days: int = 0) -> None:
        """Go so far ahead in the calendar, to the same time of day."""
        before, wall = self.at_s, _wall(self.local)
        years, month = divmod(wall.month - 1 + months, 12)
        first = wall.replace(year=wall.year + years, month=month + 1, day=1)
        at_s = self._instant(first + timedelta(days=wall.day - 1 + days))
        # A day that a zone left out (Apia, 2011) is no step forward. Go then walks for ever.
        self._go_to(at_s if at_s > before else before + _DAY_S)

    def shift(self, seconds: int) -> None:
        """Go so far ahead on the time line."""
        if seconds:
            self._go_to(self.at_s + seconds)

    def _go_to(self, at_s: int) -> None:
        self.at_s = at_s
        self.local = (EPOCH + at_s * SECOND).astimezone(self._zone)

    def _instant(self, wall: datetime) -> int:
        """Return when clocks show *wall*; of a time that comes never or twice, what Go picks."""
        as_utc = (wall - EPOCH) // SECOND
        return as_utc - self._offset_s(as_utc - self._offset_s(as_utc))

    def _offset_s(self, at_s: int) -> int:
        offset = (EPOCH + at_s * SECOND).astimezone(self._zone).utcoffset()
        return 0 if offset is None else offset // SECOND


def _wall(local: datetime) -> datetime:
    """Return what the clock shows, as if it were UTC: to reckon with, zones aside."""
    return local.replace(tzinfo=UTC, fold=0)


# -- texts ---------------------------------------------------------------------------------------


class _Bounds(msgspec.Struct, frozen=True):
    lowest: int
    highest: int
    names: Mapping[str, int] = {}


_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS: Final = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Bounds(0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every "
_ZONE: Final = re.compile(r"(?:CRON_)?TZ=([^ ]*)( .*)?", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


def parse(spec: str, *, location: tzinfo = UTC) -> Schedule:
    """Return the schedule that *spec* describes.

    Args:
        spec: Five fields (minute, hour, day of month, month, weekday), or ``@daily`` and its like,
            or ``@every 1h30m``; ``TZ=Europe/Paris`` may stand before it.
        location: Time zone of a text that names none.

    Raises:
        OptionError: If it is no such text.

    Differs:
        A zone with nothing behind it, which crashes Go (D65), is refused.
    """
    match = _ZONE.fullmatch(spec)
    if match is None:
        return _schedule(spec, spec, location)
    zone, rest = match.groups()
    if rest is None:
        raise OptionError("spec", spec, "a zone and, after a space, five fields or a descriptor")
    return _schedule(spec, rest.strip(), _zone(spec, zone, location))


def _schedule(spec: str, text: str, zone: tzinfo) -> Schedule:
    if text.startswith(_EVERY):
        try:
            return Every(durations.parse_duration(text.removeprefix(_EVERY)))
        except ValueError as error:
            raise OptionError("spec", spec, "@every and a duration such as 1h30m") from error
    if text.startswith("@") and text not in _DESCRIPTORS:
        raise OptionError("spec", spec, f"one of {', '.join(_DESCRIPTORS)}, @every DURATION")
    fields = _DESCRIPTORS.get(text, text).split()
    if len(fields) != len(_BOUNDS):
        raise OptionError("spec", spec, "five fields: minute hour day month weekday")
    try:
        return Calendar([_field(f, b) for f, b in zip(fields, _BOUNDS, strict=True)], zone)
    except ValueError as error:
        raise OptionError("spec", spec, f"five fields of cron; {error}") from error


def _zone(spec: str, name: str, location: tzinfo) -> tzinfo:
    if name in {"", "UTC"}:
        return UTC
    if name == "Local":
        return location
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        allowed = (
            f"in a zone that this machine knows, {name!r} is none "
            "(zones come from the system or from the package tzdata)"
        )
        raise OptionError("spec", spec, allowed) from error


def _field(text: str, bounds: _Bounds) -> Field:
    """Return the field that *text* describes; commas without anything between them are skipped."""
    parts = [_part(part, bounds) for part in text.split(",") if part]
    values = frozenset[int]().union(*(part.values for part in parts))
    return Field(values, any(part.starred for part in parts))


def _part(text: str, bounds: _Bounds) -> Field:
    span, *steps = text.split("/")
    lowest, *highest = span.split("-")
    starred = lowest in {"*", "?"}
    if len(steps) > 1 or (len(highest) > 1 and not starred):
        msg = f"{text!r} is no value, range or step"
        raise ValueError(msg)
    step = _number(steps[0], {}) if steps else 1
    if starred:
        first, last = bounds.lowest, bounds.highest
    else:
        first = _number(lowest, bounds.names)
        open_ended = bounds.highest if steps else first
        last = _number(highest[0], bounds.names) if highest else open_ended
    if not bounds.lowest <= first <= last <= bounds.highest or step < 1:
        msg = f"{text!r} is not within {bounds.lowest}-{bounds.highest} and ascending"
        raise ValueError(msg)
    return Field(frozenset(range(first, last + 1, step)), starred and step == 1)


def _number(text: str, names: Mapping[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if not _INTEGER.fullmatch(text) or int(text) < 0:
        msg = f"{text!r} is no number or name"
        raise ValueError(msg)
    return int(text)
