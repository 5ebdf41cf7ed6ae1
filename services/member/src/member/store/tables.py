"""The tables as SQLAlchemy models; migrations create them."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import DateTime, Dialect, ForeignKey, Index, MetaData, TypeDecorator, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pyasynq.outbox import Outbox

_NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite has no time zones and stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a datetime without a time zone: its meaning depends on the place."""
        if value is not None and value.tzinfo is None:
            msg = f"naive datetime {value}: use an aware one"
            raise TypeError(msg)
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Restore the time zone, UTC."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value)


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy requires this form


OUTBOX = Outbox(Table.metadata)
"""Tasks that wait for their commit, and then for Redis."""


class MemberRow(Table):
    """One member."""

    __tablename__ = "members"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    membername: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime]
    email_verified_at: Mapped[datetime | None]
    role: Mapped[str]
    pending_email: Mapped[str | None] = mapped_column(index=True)


class LinkRow(Table):
    """One mail with a link; a member has at most one valid link of a kind."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("members.id", ondelete="CASCADE"), index=True
    )
    email: Mapped[str]
    token_hash: Mapped[bytes]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    replaced_at: Mapped[datetime | None]
    wrong_attempts: Mapped[int]


def _one_valid(table: str) -> Index:
    return Index(
        f"uq_{table}_current",
        "member_id",
        unique=True,
        sqlite_where=text("replaced_at IS NULL"),
        postgresql_where=text("replaced_at IS NULL"),
    )


class VerificationRow(LinkRow):
    """One verification mail."""

    __tablename__ = "verifications"
    __table_args__ = (_one_valid("verifications"),)


class PasswordResetRow(LinkRow):
    """One mail to a member who forgot the password."""

    __tablename__ = "password_resets"
    __table_args__ = (_one_valid("password_resets"),)


class SessionRow(Table):
    """One log-in that has not ended."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("members.id", ondelete="CASCADE"), index=True
    )
    generation: Mapped[int]
    created_at: Mapped[datetime]
    renewed_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str]
    user_agent: Mapped[str]


class NoticeRow(Table):
    """One security notice."""

    __tablename__ = "notices"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("members.id", ondelete="CASCADE"), index=True
    )
    subject: Mapped[str]
    email: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)
    sent_at: Mapped[datetime | None]


class KnownPlaceRow(Table):
    """One place from which a member has logged in: an IPv4 address, or an IPv6 network."""

    __tablename__ = "known_places"

    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("members.id", ondelete="CASCADE"), primary_key=True
    )
    place: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(index=True)


class SignUpRow(Table):
    """One successful sign-up, whose answer can be repeated."""

    __tablename__ = "sign_ups"

    request_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("members.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(index=True)
