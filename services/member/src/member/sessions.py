"""Decide what a refresh token is worth. Pure.

A session has one row for as long as it lives; ending it deletes the row. Each renewal
raises its generation, and the token of a generation is good for one renewal.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

# A client whose answer was lost tries again with the token it has. Longer would let a
# thief who is quick share the session without being noticed.
RENEW_AGAIN = timedelta(seconds=10)

MAX_SESSIONS = 100
"""Of one member; a new one ends the one that was not renewed for the longest time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One log-in of a member.

    Attributes:
        generation: How often it was renewed.
        renewed_at: When it was renewed last, or began.
        expires_at: When its refresh token expires.
        address: IP address it was begun from; empty where there is none.
        user_agent: What the program said it was that began it; empty if it said nothing.
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
        is_current: Whether it is the one that asks.
    """

    session: Session
    ends_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTokens:
    """What a member calls with while a session lives."""

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
    """Return what a genuine refresh token of *generation* is worth *now*.

    Source:
        RFC 9700, 4.14.2: a refresh token that is used twice ends what it belongs to.
    """
    lost_answer = generation == session.generation - 1 and now - session.renewed_at <= RENEW_AGAIN
    checks = (
        (session.expires_at <= now, Renewal.EXPIRED),
        (generation == session.generation, Renewal.NEXT),
        (lost_answer, Renewal.SAME_AGAIN),
    )
    return next((worth for holds, worth in checks if holds), Renewal.STOLEN)
