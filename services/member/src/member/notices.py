"""Security notices: mails about changes to a member's account."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Subject(StrEnum):
    """The subject of a notice."""

    EMAIL_CHANGE = "email_change"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice and its recipient.

    Attributes:
        email: The member's address at the time of the change; the mail goes there even if the
            address has changed since.
        sent_at: When the mail server accepted the mail; None until then.
    """

    id: UUID
    member_id: UUID
    subject: Subject
    email: str
    created_at: datetime
    sent_at: datetime | None = None
