"""Recognize a repeated sign-up by its request id. Pure."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from member.members import Member, NewMember

ANSWERED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredSignUp:
    """A sign-up that made a member.

    Attributes:
        request_id: The id that the caller gave it.
        digest: SHA-256 of its fields, without the password.
    """

    request_id: str
    digest: bytes
    member_id: UUID
    created_at: datetime


def answered_sign_up(request_id: str, new: NewMember, member: Member) -> AnsweredSignUp:
    """Return the record of the sign-up that made *member*."""
    return AnsweredSignUp(
        request_id=request_id,
        digest=digest(new),
        member_id=member.id,
        created_at=member.created_at,
    )


def digest(new: NewMember) -> bytes:
    """Return the SHA-256 of the fields of a sign-up.

    Without the password: a plain hash of a password can be guessed.
    """
    fields = [new.membername, new.full_name, new.email, new.locale]
    return hashlib.sha256(json.dumps(fields).encode()).digest()
