"""Who a member is, from the request to the stored record."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from member.locales import Locale

Role: TypeAlias = Literal["member", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """What somebody typed who wants to be a member; nothing is checked yet."""

    membername: str
    full_name: str
    email: str
    password: str = field(repr=False)
    locale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a member typed who wants to change something; None stays as it is.

    Attributes:
        current_password: What another address asks for.
    """

    full_name: str | None = None
    email: str | None = None
    locale: str | None = None
    current_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A sign-up that keeps every rule, in the form that is stored and compared."""

    membername: str
    full_name: str
    email: str
    password: str = field(repr=False)
    locale: Locale


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A stored member.

    Attributes:
        email_verified_at: When the address was verified; None until then.
        pending_email: The address that takes the place of the other one once it is verified, or
            None. Others may wait for the same one.
    """

    id: UUID
    membername: str
    full_name: str
    email: str
    locale: Locale
    created_at: datetime
    email_verified_at: datetime | None = None
    role: Role = "member"
    pending_email: str | None = None

    @property
    def is_admin(self) -> bool:
        """Tell whether the member may look at others, and delete them."""
        return self.role == "admin"

    @property
    def email_to_verify(self) -> str | None:
        """The address that a verification mail goes to; None if all are verified."""
        return self.pending_email or (None if self.email_verified_at else self.email)

    def seen_by_others(self) -> "Member":
        """Return what anybody but the member may know."""
        return replace(self, pending_email=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A member and what proves that a caller is that member.

    Attributes:
        is_at_known_place: Whether the member has logged in before where the caller is.
    """

    member: Member
    password_hash: str = field(repr=False)
    is_at_known_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some members, and where the next ones begin; empty after the last."""

    members: tuple[Member, ...]
    next_token: str
