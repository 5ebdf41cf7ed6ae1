"""The records that travel through Redis, and how they become bytes and come back.

The classes are generated from ``proto/asynq.proto``; treat an instance as a value: make a changed
copy with `revised` instead of writing to one that others hold.

Source:
    Protocol section 2 (asynq v0.26.0 ``internal/proto/asynq.proto``, ``internal/base/base.go``).
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from pyasynq.core.errors import PoisonError
from pyasynq.proto.asynq_pb2 import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    TaskMessage,
    WorkerInfo,
)

__all__ = [
    "SchedulerEnqueueEvent",
    "SchedulerEntry",
    "ServerInfo",
    "TaskMessage",
    "WorkerInfo",
    "decode",
    "encode",
    "instant",
    "revised",
    "safe_text",
    "timestamp",
    "unix_s",
    "when",
]

MAX_ERROR: Final = 8192
_LATEST_S: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
NEVER_S: Final = -62_135_596_800
"""Go's zero time, the start of year 1."""


def encode(message: TaskMessage) -> bytes:
    """Return the bytes of *message*; fields at zero take no space."""
    return message.SerializeToString()


def decode(data: bytes) -> TaskMessage:
    """Return the message that *data* holds.

    Raises:
        PoisonError: If *data* does not parse, or parses to a message without an id.

    Differs:
        The reference takes an empty text for a message without content and shows a task without
        id; here that is poison as well.
    """
    try:
        message = TaskMessage.FromString(data)
    except DecodeError as error:
        raise PoisonError(len(data)) from error
    if not message.id:
        raise PoisonError(len(data))
    return message


def revised(
    message: TaskMessage,
    *,
    retried: int | None = None,
    error: str | None = None,
    failed_at: datetime | None = None,
    completed_at: datetime | None = None,
) -> TaskMessage:
    """Return a copy of *message* with what is given changed."""
    copy = TaskMessage()
    copy.CopyFrom(message)
    if retried is not None:
        copy.retried = retried
    if error is not None:
        copy.error_msg = safe_text(error)
    if failed_at is not None:
        copy.last_failed_at = int(failed_at.timestamp())
    if completed_at is not None:
        copy.completed_at = int(completed_at.timestamp())
    return copy


def safe_text(text: str) -> str:
    """Return *text* as UTF-8 can carry it, at most 8,192 characters.

    Differs:
        The reference cannot write an error text with invalid UTF-8, and the task hangs (D35).
    """
    return text[:MAX_ERROR].encode(errors="replace").decode()


def instant(unix_s: float) -> datetime:
    """Return the instant of *unix_s*, or the nearest that our calendar has: peers write any."""
    return datetime.fromtimestamp(min(max(unix_s, 0), _LATEST_S), UTC)


def when(stamp: Timestamp) -> datetime | None:
    """Return the instant of *stamp*, or the nearest that our calendar has.

    None, which means never, for Go's zero time and all that lies before 1970.
    """
    if stamp.seconds <= 0:
        return None
    return instant(stamp.seconds) + timedelta(microseconds=stamp.nanos // 1000)


def unix_s(instant: datetime) -> int:
    """Return *instant* as whole Unix seconds, rounded up: nothing is early."""
    return math.ceil(instant.timestamp())


def timestamp(at: datetime | None) -> Timestamp:
    """Return *at* as records hold it; None, which means never, is Go's zero time.

    Source:
        Protocol section 2.6: a time that is left out would be 1970 for Go.
    """
    if at is None:
        return Timestamp(seconds=NEVER_S)
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
