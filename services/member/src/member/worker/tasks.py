"""The tasks, as the queue holds them. Names and JSON are the contract."""

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
"""A task may be queued before the commit that it is about: it must not run before it."""

TASK_PURGE_EXPIRED = "task:purge_expired"
PURGE_EXPIRED_AT = "@hourly"


Read = TypeVar("Read")


def in_words(kind: str) -> str:
    """Return the type of a task, ``task:send_notice``, as people say it: ``send notice``."""
    return kind.removeprefix("task:").replace("_", " ")


class PayloadError(ValueError):
    """A payload is not what its task type promises."""


class Payload(Protocol):
    """What a task is about."""

    def to_json(self) -> bytes:
        """Return the payload as the queue holds it."""
        ...

    @classmethod
    def from_json(cls, payload: bytes | None) -> Self:
        """Read what `to_json` wrote."""
        ...


@dataclass(frozen=True, slots=True)
class PayloadSendVerifyEmail:
    """Whose address is to be verified."""

    membername: str

    def to_json(self) -> bytes:
        """Return the payload as the queue holds it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, payload: bytes | None) -> Self:
        """Read what `to_json`, or a peer in another language, wrote.

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
    """Who forgot the password."""


@dataclass(frozen=True, slots=True)
class PayloadSendNotice:
    """Which notice; the address stands in the database alone, and goes with the member."""

    notice_id: UUID

    def to_json(self) -> bytes:
        """Return the payload as the queue holds it."""
        return json.dumps({"notice_id": str(self.notice_id)}).encode()

    @classmethod
    def from_json(cls, payload: bytes | None) -> Self:
        """Read what `to_json` wrote.

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
