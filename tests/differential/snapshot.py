"""Read a whole Redis into values that can be compared one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import redis

from pyasynq.core.errors import PoisonError
from pyasynq.core.message import TaskMessage, decode
from pyasynq.proto.asynq_pb2 import ServerInfo

DUMP: Final = """
local function ends_ms(key)
  local ends = redis.pcall("PEXPIRETIME", key)
  if type(ends) == "number" then return ends end
  local ttl, now = redis.call("PTTL", key), redis.call("TIME")  -- Redis 6.2
  return ttl < 0 and ttl or now[1] * 1000 + math.floor(now[2] / 1000) + ttl
end
local out = {}
for n, key in ipairs(redis.call("KEYS", "*")) do
  local kind, value = redis.call("TYPE", key).ok, false
  if kind == "string" then value = redis.call("GET", key)
  elseif kind == "list" then value = redis.call("LRANGE", key, 0, -1)
  elseif kind == "set" then value = redis.call("SMEMBERS", key)
  elseif kind == "zset" then value = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  elseif kind == "hash" then value = redis.call("HGETALL", key) end
  out[n] = { key, kind, ends_ms(key), value }
end
return out
"""

LIST: Final = "(list)"
STRING: Final = "(string)"
EXPIRY: Final = "(expiry)"
MEMBER: Final = "(member)"

SERVER_KEYS: Final = ("asynq:servers", "asynq:workers")
INSTANTS: Final = ("last_failed_at", "completed_at")
"""Fields of a message that hold the instant of an event."""


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in Unix seconds; *whole* if it was cut or rounded to seconds."""

    at: float
    whole: bool


Atom: TypeAlias = object
Path: TypeAlias = tuple[str, str]
"""A key and a part of it: a member, a field, ``(list)``, ``(string)`` or ``(expiry)``."""


@dataclass(frozen=True)
class Key:
    """One key: its type, its content as Redis returns it, and its expiry (Unix seconds)."""

    kind: str
    value: Any
    expires_at: float | None


@dataclass(frozen=True)
class Snapshot:
    """All keys of one Redis at one moment."""

    keys: Mapping[str, Key]

    @cached_property
    def atoms(self) -> dict[Path, Atom]:
        """The content of all keys, in its smallest parts."""
        return {
            (name, part): atom
            for name, key in self.keys.items()
            for part, atom in _atoms(name, key)
        }

    def members(self, key: str) -> list[str]:
        """Return the ids in a list, set or sorted set, in order; empty without the key."""
        held = self.keys.get(key)
        return list(held.value) if held else []

    def field(self, task_key: str, field: str) -> bytes | None:
        """Return a field of a hash."""
        held = self.keys.get(task_key)
        return held.value.get(field) if held else None

    def message(self, task_key: str) -> TaskMessage:
        """Return a task's message."""
        return decode(self.field(task_key, "msg") or b"")

    def without(self, *starts: str) -> "Snapshot":
        """Return the snapshot without the keys that start with one of *starts*."""
        return Snapshot({name: k for name, k in self.keys.items() if not name.startswith(starts)})


def take(client: redis.Redis) -> Snapshot:
    """Read all keys of a Redis at one moment."""
    rows: Any = client.eval(DUMP, 0)
    return Snapshot(
        {
            _text(name): Key(
                _text(kind), _VALUES[_text(kind)](value), ends_ms / 1000 if ends_ms >= 0 else None
            )
            for name, kind, ends_ms, value in sorted(rows)
        }
    )


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _pairs(flat: list[bytes]) -> Iterator[tuple[str, bytes]]:
    return zip(map(_text, flat[::2]), flat[1::2], strict=True)


_VALUES: Final = {
    "string": bytes,
    "list": lambda value: [_text(item) for item in value],
    "set": lambda value: sorted(_text(item) for item in value),
    "zset": lambda value: {name: float(score) for name, score in _pairs(value)},
    "hash": lambda value: dict(_pairs(value)),
}


def _atoms(name: str, key: Key) -> Iterator[tuple[str, Atom]]:
    if key.expires_at is not None:
        whole = _is_day(name)
        yield EXPIRY, Instant(round(key.expires_at) if whole else key.expires_at, whole)
    match key.kind:
        case "list":
            yield LIST, tuple(key.value)
        case "set":
            yield from ((member, MEMBER) for member in key.value)
        case "zset":
            yield from ((member, Instant(score, True)) for member, score in key.value.items())
        case "hash":
            for field, data in key.value.items():
                yield from _field(field, data)
        case _:
            yield STRING, Instant(float(key.value), True) if name.endswith(":paused") else key.value


def _is_day(name: str) -> bool:
    """Tell whether *name* is a day's counter; unlike a lock's, its expiry is a whole second."""
    return ":processed:" in name or ":failed:" in name


def _field(field: str, data: bytes) -> Iterator[tuple[str, Atom]]:
    if field == "pending_since":
        yield field, Instant(int(data) / 1e9, False)
    elif field == "msg":
        yield from _message(data)
    else:
        yield field, data


def _message(data: bytes) -> Iterator[tuple[str, Atom]]:
    try:
        message = decode(data)
    except PoisonError:
        yield "msg", data
        return
    for descriptor, value in message.ListFields():
        field = descriptor.name
        if field in INSTANTS:
            yield f"msg.{field}", Instant(value, True)
        else:
            yield f"msg.{field}", dict(value) if field == "headers" else value


def server_record(snapshot: Snapshot) -> dict[str, Any]:
    """Return the record of the one server, without the fields that identify it."""
    [name] = [name for name in snapshot.keys if name.startswith("asynq:servers:")]
    record = ServerInfo.FromString(snapshot.keys[name].value)
    [workers] = [k for name, k in snapshot.keys.items() if name.startswith("asynq:workers:")]
    return {
        "concurrency": record.concurrency,
        "queues": dict(record.queues),
        "strict": record.strict_priority,
        "status": record.status,
        "active": record.active_worker_count,
        "workers": sorted(workers.value),
    }
