"""A member, from the request to the stored record."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from member.locales import Locale

Role: TypeAlias = Literal["member", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """The fields of a sign-up as somebody typed them; nothing is checked yet."""

    membername: str
    full_name: str
    email: str
    password: str = field(repr=False)
    locale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes that a member typed; None: the field stays as it is.

    Attributes:
        current_password: Needed for another address.
    """

    full_name: str | None = None
    email: str | None = None
    locale: str | None = None
    current_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A valid sign-up, in the form that is stored and compared."""

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
        pending_email: The address that replaces `email` once it is verified, or None. Several
            members may wait for the same address.
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
        """Tell whether the member may read and delete other members."""
        return self.role == "admin"

    @property
    def email_to_verify(self) -> str | None:
        """The address that a verification mail goes to; None if no address is unverified."""
        return self.pending_email or (None if self.email_verified_at else self.email)

    def seen_by_others(self) -> "Member":
        """Return the member without the fields that only itself may see."""
        return replace(self, pending_email=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A member, and the hash that proves that a caller is that member.

    Attributes:
        is_at_known_place: Whether the member has logged in from the caller's address before.
    """

    member: Member
    password_hash: str = field(repr=False)
    is_at_known_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some members, and the token of the next page; empty on the last page."""

    members: tuple[Member, ...]
    next_token: str
