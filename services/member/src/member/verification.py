"""Decide whether a link in a mail is valid, and which mail to send. Pure."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class MailedLink:
    """One mail and the link in it.

    Attributes:
        email: Recipient of the mail.
        token_hash: SHA-256 of the token.
        sent_at: When the mail server accepted the mail; None until then.
        used_at: When the link was used; None until then.
        replaced_at: When a newer mail, for example, made this link invalid; None while it is valid.
        wrong_attempts: Number of wrong tokens that named this link.
    """

    id: UUID
    member_id: UUID
    email: str
    token_hash: bytes
    created_at: datetime
    expires_at: datetime
    sent_at: datetime | None = None
    used_at: datetime | None = None
    replaced_at: datetime | None = None
    wrong_attempts: int = 0


class Verification(MailedLink):
    """A link that verifies its address."""

    __slots__ = ()


class PasswordReset(MailedLink):
    """A link that sets a new password, once."""

    __slots__ = ()


class Standing(Enum):
    """The state of a link, for a caller with a token."""

    FRESH = auto()
    USED = auto()
    WRONG = auto()
    LOCKED = auto()
    REPLACED = auto()
    EXPIRED = auto()


def standing(link: MailedLink, token_hash: bytes, *, now: datetime, max_wrong: int) -> Standing:
    """Return the state of a link *now*.

    Only a caller with the right token gets another answer than "wrong".

    Args:
        link: The link that the token names.
        token_hash: SHA-256 of the token.
        now: Current time, UTC.
        max_wrong: Number of wrong tokens that locks the link.
    """
    if not hmac.compare_digest(link.token_hash, token_hash):
        return Standing.WRONG
    checks = (
        (link.replaced_at is not None, Standing.REPLACED),
        (link.used_at is not None, Standing.USED),
        (link.wrong_attempts >= max_wrong, Standing.LOCKED),
        (link.expires_at <= now, Standing.EXPIRED),
    )
    return next((worth for holds, worth in checks if holds), Standing.FRESH)


def is_under_way(
    current: MailedLink | None, asked_at: datetime, now: datetime, takes: timedelta
) -> bool:
    """Tell whether a mail is about to be sent, so that another task would send it twice.

    Args:
        current: The member's valid link, or None.
        asked_at: When a mail was last requested, or its link made.
        now: Current time, UTC.
        takes: Time in which a mail is normally sent; after it the task may be lost.
    """
    return (current is None or current.sent_at is None) and now < asked_at + takes


class Mail(Enum):
    """The mail that a task has to send."""

    NEW = auto()
    SAME_AGAIN = auto()
    NONE = auto()


def mail_to_send(current: MailedLink | None, email: str, token_hash: bytes | None) -> Mail:
    """Return which mail a task has to send.

    Args:
        current: The member's valid link, or None.
        email: The member's address.
        token_hash: Hash of the token made for *current*; after a change of the service's
            key it differs from the stored one. None without *current*.
    """
    if current is None or current.email != email:
        return Mail.NEW
    if current.sent_at is not None:
        return Mail.NONE
    return Mail.SAME_AGAIN if current.token_hash == token_hash else Mail.NEW
