"""The message of a task, and its encoding.

Its class is generated from ``proto/asynq.proto``, so fields that a newer peer adds survive a retry.
Treat an instance as a value: make a changed copy with `with_outcome` instead of changing an
instance that others use.

Source:
    Protocol section 2 (asynq v0.26.0 ``internal/proto/asynq.proto``, ``internal/base/base.go``).
"""

import math
from datetime import UTC, datetime
from typing import Final

from google.protobuf.message import DecodeError

from pyasynq.core.errors import PoisonError
from pyasynq.proto.asynq_pb2 import TaskMessage

__all__ = [
    "TaskMessage",
    "decode",
    "encode",
    "instant",
    "safe_text",
    "unique_key",
    "unix_s",
    "with_outcome",
]

MAX_ERROR: Final = 8192
_LATEST_S: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def encode(message: TaskMessage) -> bytes:
    """Return the bytes of *message*; fields at zero take no space."""
    return message.SerializeToString()


def decode(data: bytes) -> TaskMessage:
    """Return the message that *data* holds.

    Raises:
        PoisonError: If *data* does not parse, or parses to a message without an id.

    Differs:
        The reference decodes empty bytes to a message without content and shows a task without
        id; here they are poison.
    """
    try:
        message = TaskMessage.FromString(data)
    except DecodeError as error:
        raise PoisonError(len(data)) from error
    if not message.id:
        raise PoisonError(len(data))
    return message


def unique_key(queue: str, type: str, digest: str) -> str:
    """Return the key of the unique lock of a task; *digest* is empty without payload.

    Written by:
        `create`, `update_task`; released by `done`, `complete` and whatever deletes the task
    """
    return f"asynq:{{{queue}}}:unique:{type}:{digest}"


def with_outcome(
    message: TaskMessage,
    *,
    retried: int | None = None,
    error: str | None = None,
    failed_at: datetime | None = None,
    completed_at: datetime | None = None,
) -> TaskMessage:
    """Return a copy of *message* with the given fields changed."""
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
    """Return *text* without characters that UTF-8 cannot encode, cut to 8,192 characters.

    Differs:
        The reference cannot write an error text with invalid UTF-8, and the task hangs (D35).
    """
    return text[:MAX_ERROR].encode(errors="replace").decode()


def instant(unix_s: float) -> datetime:
    """Return *unix_s* as an instant within 1970–9999: peers may write any number."""
    return datetime.fromtimestamp(min(max(unix_s, 0), _LATEST_S), UTC)


def unix_s(instant: datetime) -> int:
    """Return *instant* as whole Unix seconds, rounded up so that nothing runs early."""
    return math.ceil(instant.timestamp())
