"""The JSON form of what users read, the same for the command line and the dashboard."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, cast

from pyasynq.core.safe_text import NO_TEXT

if TYPE_CHECKING:  # the command line prints JSON long before it needs protobuf
    from pyasynq.core.info import SchedulerEntry


def to_json_types(value: object) -> object:
    """Return *value* as JSON types.

    A dataclass becomes an object, a duration seconds, an instant RFC 3339 in UTC. Bytes become two
    members: their text, null if they are no UTF-8, and ``…_base64``.
    """
    if isinstance(value, str):
        return value.translate(NO_TEXT)
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, timedelta | date | bytes):
        return _text(value)
    if isinstance(value, list | tuple):
        return [to_json_types(item) for item in cast("Sequence[object]", value)]
    return _members(
        cast("Mapping[str, object]", value) if isinstance(value, Mapping) else fields(value)
    )


def _text(value: timedelta | date | bytes) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()


def fields(value: object) -> dict[str, object]:
    """Return the fields of a struct or dataclass."""
    names: Iterable[str] = getattr(value, "__struct_fields__", ())
    names = names or getattr(value, "__dataclass_fields__", ())
    return {name: getattr(value, name) for name in names}


def _members(values: Mapping[str, object]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            members[name] = text_of(value)
            members[f"{name}_base64"] = base64.b64encode(value).decode()
        else:
            members[name.translate(NO_TEXT)] = to_json_types(value)
    return members


def text_of(content: bytes) -> str | None:
    """Return *content* as text; None if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def entry_members(entry: "SchedulerEntry") -> dict[str, object]:
    """Return the members of a scheduler's entry; options that were not given are left out."""
    return {
        "id": entry.id,
        "spec": entry.spec,
        "type": entry.task.type,
        "payload": entry.task.payload or b"",
        "options": given_options(entry),
        "next": entry.next,
        "prev": entry.prev,
        "paused": entry.paused,
    }


def given_options(entry: "SchedulerEntry") -> dict[str, object]:
    """Return the options that *entry* was registered with."""
    options = fields(entry.options)
    return {name: value for name, value in options.items() if value not in (None, {})}
