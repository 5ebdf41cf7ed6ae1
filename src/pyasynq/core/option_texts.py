"""Options as texts, as scheduler entries show them: ``Queue("low")``.

Source:
    Protocol section 5.4 (asynq v0.26.0 ``client.go`` ``Option.String``, ``inspector.go``
    ``parseOption``).

Differs:
    Go's parser stops at the first closing parenthesis, so a parenthesis inside a value is written
    as an escape, which Go can read. Here all texts are read up to their last parenthesis, including
    ``TaskID`` and ``Group``. A name that is not quoted as by Go's ``strconv.Quote`` is returned
    unchanged; other texts that cannot be read are left out (D52).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import msgspec

from pyasynq.core import durations
from pyasynq.core.options import Options

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_TEXT: Final = re.compile(r"\s*(\w+)\((.*)\)\s*", re.DOTALL)
_INSTANT: Final = re.compile(
    r"\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (?:([+-])(\d\d)(\d\d)|[A-Z+-]\S*) (\d{4})"
)
_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
    ")": r"\x29",
}
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\[abfnrtv\\"xuU])*"')
_JSON_ESCAPES: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&)\u2028\u2029"}
_LAST_OF_TWO: Final = {"process_at": "process_in", "process_in": "process_at"}


def format_options(options: Options) -> list[str]:
    """Return one text for each given option, headers last; instants are in UTC."""
    texts: list[str] = []
    for field, (name, write, _) in _FORMS.items():
        value = getattr(options, field)
        if value is not None:
            texts.append(f"{name}({write(value)})")
    return texts + [f"Header({_format_header(pair)})" for pair in options.headers.items()]


def parse_options(texts: Sequence[str]) -> Options:
    """Return the options that *texts* describe, without checking their values.

    A text that cannot be read is left out, but a name is then returned unchanged. If an option is
    given twice, the last one wins; ``ProcessAt`` and ``ProcessIn`` count as one option.
    """
    values: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for text in texts:
        name, argument = _split(text)
        try:
            if name == "Header":
                headers |= _parse_header(argument)
            elif name in _FIELDS:
                field = _FIELDS[name]
                values[field] = _FORMS[field][2](argument)
                values.pop(_LAST_OF_TWO.get(field, ""), None)
        except (ValueError, OverflowError):
            continue  # another program wrote the text, so no error of ours would help
    return Options(**values, headers=headers)


def _split(text: str) -> tuple[str, str]:
    match = _TEXT.fullmatch(text)
    return (match[1], match[2]) if match else ("", "")


def _quote(text: str) -> str:
    """Return *text* as a Go string literal."""
    return f'"{"".join(map(_escape, text))}"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if char.isascii():
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if char <= "\uffff" else f"\\U{code:08x}"


def _unquote(literal: str) -> str:
    """Return the text of a Go string literal; *literal* itself if it cannot be read."""
    if not _QUOTED.fullmatch(literal):
        return literal
    try:
        return literal[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return literal


def _parse_int(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        msg = f"{text!r} is no whole number"
        raise ValueError(msg)
    return int(text)


def _format_instant(at: datetime) -> str:
    at = at.astimezone(UTC)
    day = f"{_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at.day:2}"
    return f"{day} {at:%H:%M:%S} UTC {at.year:04}"


def _parse_instant(text: str) -> datetime:
    """Return the instant; a zone given as abbreviation counts as UTC, as in Go's parser."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        msg = f"{text!r} is no instant"
        raise ValueError(msg)
    month, *day_and_time, sign, hours, minutes, year = match.groups()
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-ahead if sign == "-" else ahead)
    day, hour, minute, second = map(int, day_and_time)
    at = datetime(int(year), 1 + _MONTHS.index(month), day, hour, minute, second, tzinfo=zone)
    return at.astimezone(UTC)


def _format_header(pair: tuple[str, str]) -> str:
    text = json.dumps(pair, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_JSON_ESCAPES)


def _parse_header(argument: str) -> Mapping[str, str]:
    return dict([msgspec.json.decode(argument, type=tuple[str, str])])


_FORMS: Final[Mapping[str, tuple[str, Callable[..., str], Callable[[str], object]]]] = {
    "queue": ("Queue", _quote, _unquote),
    "task_id": ("TaskID", _quote, _unquote),
    "max_retry": ("MaxRetry", str, _parse_int),
    "timeout": ("Timeout", durations.format_duration, durations.parse_duration),
    "deadline": ("Deadline", _format_instant, _parse_instant),
    "unique": ("Unique", durations.format_duration, durations.parse_duration),
    "process_at": ("ProcessAt", _format_instant, _parse_instant),
    "process_in": ("ProcessIn", durations.format_duration, durations.parse_duration),
    "retention": ("Retention", durations.format_duration, durations.parse_duration),
    "group": ("Group", _quote, _unquote),
}
"""The name of each option in texts, the function that writes its value, and the one that reads."""

_FIELDS: Final = {name: field for field, (name, _, _) in _FORMS.items()}
