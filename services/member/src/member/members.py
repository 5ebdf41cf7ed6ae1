"""Who a member is, from the request to the stored record."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from member.locales import Locale


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """What somebody typed who wants to be a member; nothing is checked yet."""

    membername: str
    full_name: str
    email: str
    password: str
    locale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A sign-up that keeps every rule, in the form that is stored and compared."""

    membername: str
    full_name: str
    email: str
    password: str
    locale: Locale


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A stored member.

    Attributes:
        email_verified_at: When the address was verified; None until then.
    """

    id: UUID
    membername: str
    full_name: str
    email: str
    locale: Locale
    created_at: datetime
    email_verified_at: datetime | None
