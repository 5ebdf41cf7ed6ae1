"""What a member is told by mail because of its safety."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Subject(StrEnum):
    """What a notice is about."""

    EMAIL_CHANGE = "email_change"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice and where it goes.

    Attributes:
        email: The member's address when it happened, whatever it is by the time of the mail.
        sent_at: When the mail server took the mail; None until it is known to have.
    """

    id: UUID
    member_id: UUID
    subject: Subject
    email: str
    created_at: datetime
    sent_at: datetime | None = None
