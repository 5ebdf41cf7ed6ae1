"""Cron texts, and the instants at which they are due.

Pure, except that time zones are read from the system's zone files.

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
    """The instants at which something is due."""

    def next(self, after: datetime) -> datetime | None:
        """Return the first tick after *after*, UTC and in whole seconds; None if none follows."""
        ...

    def anchor_at(self, at: datetime) -> "Schedule":
        """Return this schedule; if its ticks are relative to an instant, they start from *at*."""
        ...


class Every:
    """Ticks at equal distances, counted from the anchor, or else from the instant in the call.

    Source:
        robfig/cron v3 ``ConstantDelaySchedule``: at least a second, cut to whole seconds.
    """

    def __init__(self, period: timedelta, anchor: datetime | None = None) -> None:
        """Tick each *period*; without *anchor* the next tick is one period after any instant."""
        self.period: timedelta = max(period // SECOND, 1) * SECOND
        self._anchor = anchor

    def next(self, after: datetime) -> datetime | None:
        """Return the first tick after *after*."""
        anchor = (self._anchor or after).astimezone(UTC).replace(microsecond=0)
        passed = max((after - anchor) // self.period, 0)
        return anchor + self.period * (passed + 1)

    def anchor_at(self, at: datetime) -> "Every":
        """Return this schedule with ticks at whole periods from *at*."""
        return Every(self.period, at)


class Field(msgspec.Struct, frozen=True):
    """The values that one field of a cron text allows.

    Attributes:
        values: The values.
        starred: Whether the field is ``*`` or ``?``, without a step above 1.
    """

    values: frozenset[int]
    starred: bool = False


class Calendar:
    """Ticks at the minutes, hours, days of month, months and weekdays that five fields allow.

    Source:
        robfig/cron v3 ``SpecSchedule``, also where clocks change: an hour that does not exist is
        skipped on that day, an hour that comes twice matches twice.
    """

    def __init__(self, fields: Sequence[Field], zone: tzinfo) -> None:
        """Tick in *zone*; *fields* are minute, hour, day of month, month and weekday."""
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

    def anchor_at(self, at: datetime) -> "Calendar":
        """Return this schedule: its ticks are not relative to an instant."""
        return self

    # Each step walks to the first allowed value. It returns False if the next higher field has
    # changed, because that field must then be checked again.

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
            # Where clocks change at midnight, the day may begin an hour early or late.
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
    """An instant that moves forward, as the clocks of a zone show it.

    Attributes:
        at_s: Unix seconds.
        local: The same instant in the zone.
    """

    def __init__(self, at_s: int, zone: tzinfo) -> None:
        self._zone = zone
        self._rounded = False
        self._go_to(at_s)

    def round(self, unit: str) -> None:
        """Cut off everything smaller than *unit*; only the first call in a walk cuts."""
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
        """Move ahead by *months* and *days* in the calendar, to the same time of day."""
        before, wall = self.at_s, _wall(self.local)
        years, month = divmod(wall.month - 1 + months, 12)
        first = wall.replace(year=wall.year + years, month=month + 1, day=1)
        at_s = self._instant(first + timedelta(days=wall.day - 1 + days))
        # A day that a zone skipped (Apia, 2011) is not a step forward; Go loops forever there.
        self._go_to(at_s if at_s > before else before + _DAY_S)

    def shift(self, seconds: int) -> None:
        """Move ahead by *seconds* of real time."""
        if seconds:
            self._go_to(self.at_s + seconds)

    def _go_to(self, at_s: int) -> None:
        self.at_s = at_s
        self.local = (EPOCH + at_s * SECOND).astimezone(self._zone)

    def _instant(self, wall: datetime) -> int:
        """Return *wall* as Unix time; for a skipped or repeated time, what Go returns."""
        as_utc = (wall - EPOCH) // SECOND
        return as_utc - self._offset_s(as_utc - self._offset_s(as_utc))

    def _offset_s(self, at_s: int) -> int:
        offset = (EPOCH + at_s * SECOND).astimezone(self._zone).utcoffset()
        return 0 if offset is None else offset // SECOND


def _wall(local: datetime) -> datetime:
    """Return the time that the clock shows, as if it were UTC, to compute without zones."""
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
        spec: Five fields (minute, hour, day of month, month, weekday), or a descriptor such as
            ``@daily``, or ``@every 1h30m``; ``TZ=Europe/Paris`` may come first.
        location: Time zone of a text that does not name one.

    Raises:
        OptionError: If *spec* is not such a text.

    Differs:
        A text that has only a zone is refused; it crashes Go (D65).
    """
    match = _ZONE.fullmatch(spec)
    if match is None:
        return _parse_schedule(spec, spec, location)
    zone, rest = match.groups()
    if rest is None:
        raise OptionError("spec", spec, "a zone and, after a space, five fields or a descriptor")
    return _parse_schedule(spec, rest.strip(), _load_zone(spec, zone, location))


def _parse_schedule(spec: str, text: str, zone: tzinfo) -> Schedule:
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
        return Calendar([_parse_field(f, b) for f, b in zip(fields, _BOUNDS, strict=True)], zone)
    except ValueError as error:
        raise OptionError("spec", spec, f"five fields of cron; {error}") from error


def _load_zone(spec: str, name: str, location: tzinfo) -> tzinfo:
    if name in {"", "UTC"}:
        return UTC
    if name == "Local":
        return location
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        allowed = (
            f"in a zone that this machine knows; it does not know {name!r} "
            "(zones come from the system or from the package tzdata)"
        )
        raise OptionError("spec", spec, allowed) from error


def _parse_field(text: str, bounds: _Bounds) -> Field:
    """Return the field that *text* describes; empty parts between commas are skipped."""
    parts = [_parse_part(part, bounds) for part in text.split(",") if part]
    values = frozenset[int]().union(*(part.values for part in parts))
    return Field(values, any(part.starred for part in parts))


def _parse_part(text: str, bounds: _Bounds) -> Field:
    span, *steps = text.split("/")
    lowest, *highest = span.split("-")
    starred = lowest in {"*", "?"}
    if len(steps) > 1 or (len(highest) > 1 and not starred):
        msg = f"{text!r} is no value, range or step"
        raise ValueError(msg)
    step = _parse_number(steps[0], {}) if steps else 1
    if starred:
        first, last = bounds.lowest, bounds.highest
    else:
        first = _parse_number(lowest, bounds.names)
        open_ended = bounds.highest if steps else first
        last = _parse_number(highest[0], bounds.names) if highest else open_ended
    if not bounds.lowest <= first <= last <= bounds.highest or step < 1:
        msg = f"{text!r} is not within {bounds.lowest}-{bounds.highest} and ascending"
        raise ValueError(msg)
    return Field(frozenset(range(first, last + 1, step)), starred and step == 1)


def _parse_number(text: str, names: Mapping[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if not _INTEGER.fullmatch(text) or int(text) < 0:
        msg = f"{text!r} is no number or name"
        raise ValueError(msg)
    return int(text)
