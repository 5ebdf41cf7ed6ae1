"""Decide what to do with a refresh token. Pure.

A session has one row as long as it lives; its end deletes the row. Each renewal raises
its generation, and the token of a generation works for one renewal.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

# A client whose answer was lost tries again with its old token. A longer time would let a quick
# thief share the session unnoticed.
RENEW_AGAIN = timedelta(seconds=10)

MAX_SESSIONS = 100
"""Sessions of one member; a new one ends the one that was not renewed for the longest time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One log-in of a member.

    Attributes:
        generation: How often it was renewed.
        renewed_at: When it was renewed last, or began.
        expires_at: When its refresh token expires.
        address: IP address that began it; empty if there was none.
        user_agent: Name of the program that began it, as the program sent it; empty if it sent
            none.
    """

    id: UUID
    member_id: UUID
    generation: int
    created_at: datetime
    renewed_at: datetime
    expires_at: datetime
    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session as its member sees it.

    Attributes:
        ends_at: When it ends, however often it is renewed.
        is_current: Whether the call was made in it.
    """

    session: Session
    ends_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTokens:
    """The tokens that a member calls with while a session lives."""

    access_token: str = field(repr=False)
    access_token_expires_at: datetime
    refresh_token: str = field(repr=False)
    refresh_token_expires_at: datetime


class Renewal(Enum):
    """What to do with a refresh token."""

    NEXT = auto()
    SAME_AGAIN = auto()
    STOLEN = auto()
    EXPIRED = auto()


def renewal(session: Session, generation: int, *, now: datetime) -> Renewal:
    """Return what to do *now* with a genuine refresh token of *generation*.

    Source:
        RFC 9700, 4.14.2: a refresh token that is used twice ends its session.
    """
    lost_answer = generation == session.generation - 1 and now - session.renewed_at <= RENEW_AGAIN
    checks = (
        (session.expires_at <= now, Renewal.EXPIRED),
        (generation == session.generation, Renewal.NEXT),
        (lost_answer, Renewal.SAME_AGAIN),
    )
    return next((worth for holds, worth in checks if holds), Renewal.STOLEN)
