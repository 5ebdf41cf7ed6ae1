"""Recognize a sign-up that was answered before. Pure."""

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
        request_id: What the caller named it.
        digest: Of what the caller asked for, but for the password.
    """

    request_id: str
    digest: bytes
    member_id: UUID
    created_at: datetime


def answered(request_id: str, new: NewMember, member: Member) -> AnsweredSignUp:
    """Return what is to be remembered of the sign-up that made *member*."""
    return AnsweredSignUp(
        request_id=request_id,
        digest=digest(new),
        member_id=member.id,
        created_at=member.created_at,
    )


def digest(new: NewMember) -> bytes:
    """Return the SHA-256 of what a sign-up asks for.

    Not of the password: a plain hash of one can be guessed.
    """
    told = [new.membername, new.full_name, new.email, new.locale]
    return hashlib.sha256(json.dumps(told).encode()).digest()
