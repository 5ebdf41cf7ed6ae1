"""Types and payloads of the tasks in the queue. Names and JSON are the contract."""

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Protocol, Self, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from member.validation import is_membername

TASK_SEND_VERIFY_EMAIL = "task:send_verify_email"
QUEUE_CRITICAL = "critical"
QUEUE_DEFAULT = "default"
SEND_VERIFY_EMAIL_MAX_RETRY = 10

TASK_SEND_PASSWORD_RESET = "task:send_password_reset"  # noqa: S105 - no password
SEND_PASSWORD_RESET_MAX_RETRY = 10

TASK_SEND_NOTICE = "task:send_notice"
SEND_NOTICE_MAX_RETRY = 10
MAIL_DELAY = timedelta(seconds=1)
"""A task may be queued before the commit of its transaction, and must not run before it."""

TASK_PURGE_EXPIRED = "task:purge_expired"
PURGE_EXPIRED_AT = "@hourly"


Read = TypeVar("Read")


def task_name(kind: str) -> str:
    """Return the readable name of a task type: ``send notice`` for ``task:send_notice``."""
    return kind.removeprefix("task:").replace("_", " ")


class PayloadError(ValueError):
    """A payload does not fit its task type."""


class Payload(Protocol):
    """The payload of a task."""

    def to_json(self) -> bytes:
        """Return the payload as JSON for the queue."""
        ...

    @classmethod
    def from_json(cls, payload: bytes | None) -> Self:
        """Parse JSON that `to_json` wrote."""
        ...


@dataclass(frozen=True, slots=True)
class PayloadSendVerifyEmail:
    """The member whose address has to be verified."""

    membername: str

    def to_json(self) -> bytes:
        """Return the payload as JSON for the queue."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, payload: bytes | None) -> Self:
        """Parse JSON that `to_json`, or a program in another language, wrote.

        Raises:
            PayloadError: If *payload* is not a JSON object with a ``membername``.
        """
        read = _read(cls, payload)
        if not is_membername(read.membername):
            msg = "malformed payload: membername: no member can have this name"
            raise PayloadError(msg)
        return read


@dataclass(frozen=True, slots=True)
class PayloadSendPasswordReset(PayloadSendVerifyEmail):
    """The member who forgot the password."""


@dataclass(frozen=True, slots=True)
class PayloadSendNotice:
    """The id of a notice. Its address is only in the database, and is deleted with the member."""

    notice_id: UUID

    def to_json(self) -> bytes:
        """Return the payload as JSON for the queue."""
        return json.dumps({"notice_id": str(self.notice_id)}).encode()

    @classmethod
    def from_json(cls, payload: bytes | None) -> Self:
        """Parse JSON that `to_json` wrote.

        Raises:
            PayloadError: If *payload* is not a JSON object with a ``notice_id``.
        """
        return _read(cls, payload)


def _read(kind: type[Read], payload: bytes | None) -> Read:
    try:
        return TypeAdapter(kind).validate_json(payload or b"", strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in found["loc"]) or "payload"
        msg = f"malformed payload: {place}: {found['msg']}"
        raise PayloadError(msg) from None
