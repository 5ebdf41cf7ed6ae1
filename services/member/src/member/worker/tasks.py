"""The tasks, as the queue holds them. Names and JSON are the contract."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from pydantic import TypeAdapter, ValidationError

from member.validation import is_membername

TASK_SEND_VERIFY_EMAIL = "task:send_verify_email"
QUEUE_CRITICAL = "critical"
QUEUE_DEFAULT = "default"
SEND_VERIFY_EMAIL_MAX_RETRY = 10

TASK_PURGE_EXPIRED = "task:purge_expired"
PURGE_EXPIRED_AT = "@hourly"


class PayloadError(ValueError):
    """A payload is not what its task type promises."""


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
        try:
            read = TypeAdapter(cls).validate_json(payload or b"", strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in found["loc"]) or "payload"
            msg = f"malformed payload: {place}: {found['msg']}"
            raise PayloadError(msg) from None
        if not is_membername(read.membername):
            msg = "malformed payload: membername: no member can have this name"
            raise PayloadError(msg)
        return read
