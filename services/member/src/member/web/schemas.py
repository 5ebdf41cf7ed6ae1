"""The messages of REST: those of the proto file, as JSON."""

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from member import members, sessions
from member.locales import Locale


def _check_encodable(text: str) -> str:
    """Refuse half of a surrogate pair, which JSON can carry, but no database and no log."""
    text.encode()
    return text


Text: TypeAlias = Annotated[str, AfterValidator(_check_encodable)]

_MEMBERNAME = Field(description="3 to 32 of a-z, 0-9 and _; unique.", examples=["alice"])
_FULL_NAME = Field(
    description="1 to 100 characters of any script.", examples=["Alice Liddell", "王小明"]
)
_EMAIL = Field(
    description="Stored and compared in lower case.",
    examples=["alice@example.com"],
    json_schema_extra={"format": "email"},
)
_LOCALE = Field(
    description="A BCP 47 tag; mails use the nearest language that they exist in.",
    examples=["zh-TW"],
)
_PASSWORD = Field(
    description="8 to 128 characters, and not made of a common password, word or name.",
    examples=["curiouser and curiouser"],
    json_schema_extra={"format": "password"},
)
_REFRESH_TOKEN = Field(description="Valid once; keep it secret.")

Membername: TypeAlias = Annotated[Text, _MEMBERNAME]
FullName: TypeAlias = Annotated[Text, _FULL_NAME]
Email: TypeAlias = Annotated[Text, _EMAIL]
Password: TypeAlias = Annotated[Text, _PASSWORD]
RefreshToken: TypeAlias = Annotated[Text, _REFRESH_TOKEN]


class _Request(BaseModel):
    """Base of requests: values are not converted, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CreateMemberRequest(_Request):
    """The fields of a sign-up."""

    membername: Membername
    full_name: FullName
    email: Email
    password: Password
    locale: Annotated[Text, _LOCALE] = ""
    request_id: Text = Field(
        default="",
        description="Up to 64 characters that name this sign-up, such as a random UUID: for 24 "
        "hours the same sign-up gets the first answer again. The header Idempotency-Key does the "
        "same.",
    )


class UpdateMemberRequest(_Request):
    """The fields to change; a field that is absent or null stays as it is."""

    full_name: FullName | None = None
    email: Email | None = None
    locale: Annotated[Text, _LOCALE] | None = None
    current_password: Text = Field(
        default="",
        description="Needed only for another address.",
        json_schema_extra={"format": "password"},
    )


class ChangePasswordRequest(_Request):
    """The present password and the new one."""

    current_password: Password
    new_password: Password


class ListMembersRequest(BaseModel):
    """The page to list."""

    model_config = ConfigDict(extra="forbid")

    page_size: int = Field(default=0, description="1 to 100; 0 asks for 50.")
    page_token: str = Field(
        default="", description="The `next_page_token` of the page before; empty: the first page."
    )


class LoginMemberRequest(_Request):
    """Member name and password."""

    membername: Membername
    password: Password


class RenewAccessTokenRequest(_Request):
    """The refresh token to exchange for new tokens."""

    refresh_token: RefreshToken


class LogoutMemberRequest(_Request):
    """The refresh token of the session to end."""

    refresh_token: RefreshToken


class EndAllSessionsRequest(BaseModel):
    """Whether to keep the session of the caller."""

    model_config = ConfigDict(extra="forbid")

    keep_current: bool = Field(
        default=False, description="True: keep the session in which the call is made."
    )


class VerifyEmailRequest(_Request):
    """The token of a verification mail."""

    token: Text = Field(description="The opaque token of the link in the mail.")


class ResendVerifyEmailRequest(_Request):
    """The address for a new mail."""

    email: Email


class RequestPasswordResetRequest(_Request):
    """The address of a member who forgot the password."""

    email: Email


class ResetPasswordRequest(_Request):
    """The token of that mail, and the new password."""

    token: Text = Field(description="The opaque token of the link in the mail.")
    new_password: Password


class Member(BaseModel):
    """A member, without the password."""

    membername: Membername
    full_name: FullName
    email: Email
    email_verified: bool
    created_at: AwareDatetime = Field(examples=["2026-01-01T00:00:00Z"])
    locale: Locale = Field(description="Language of mails to this member.")
    role: Literal["member", "admin"] = Field(
        description="An admin may also read and delete other members."
    )
    pending_email: str | None = Field(
        description="The address that replaces `email` once it is verified; null for none. Only "
        "the member itself gets it."
    )

    @classmethod
    def of(cls, member: members.Member) -> "Member":
        """Return the message for *member*."""
        return cls(
            membername=member.membername,
            full_name=member.full_name,
            email=member.email,
            email_verified=member.email_verified_at is not None,
            created_at=member.created_at,
            locale=member.locale,
            role=member.role,
            pending_email=member.pending_email,
        )


class Session(BaseModel):
    """The tokens that a member calls with. Keep both secret."""

    access_token: str = Field(description="For the header `Authorization: Bearer TOKEN`.")
    access_token_expires_at: AwareDatetime
    refresh_token: RefreshToken
    refresh_token_expires_at: AwareDatetime

    @classmethod
    def of(cls, tokens: sessions.SessionTokens) -> "Session":
        """Return the message for the *tokens* of a session."""
        return cls(
            access_token=tokens.access_token,
            access_token_expires_at=tokens.access_token_expires_at,
            refresh_token=tokens.refresh_token,
            refresh_token_expires_at=tokens.refresh_token_expires_at,
        )


class LiveSession(BaseModel):
    """A session as its member sees it."""

    session_id: UUID
    created_at: AwareDatetime
    renewed_at: AwareDatetime = Field(description="When it was renewed last, or began.")
    expires_at: AwareDatetime = Field(description="When it ends unless it is renewed.")
    ends_at: AwareDatetime = Field(description="When it ends, however often it is renewed.")
    address: str = Field(
        description="IP address that began it; empty if it is not known.",
        examples=["203.0.113.7"],
    )
    user_agent: str = Field(
        description="User agent of the program that began it: up to 200 characters, chosen by the "
        "caller. Empty if it sent none.",
        examples=["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
    )
    current: bool = Field(description="Whether the call was made in this session.")

    @classmethod
    def of(cls, live: sessions.LiveSession) -> "LiveSession":
        """Return the message for *live*."""
        session = live.session
        return cls(
            session_id=session.id,
            created_at=session.created_at,
            renewed_at=session.renewed_at,
            expires_at=session.expires_at,
            ends_at=live.ends_at,
            address=session.address,
            user_agent=session.user_agent,
            current=live.is_current,
        )


class MemberResponse(BaseModel):
    """A member."""

    member: Member


class ListMembersResponse(BaseModel):
    """A page of members, by name."""

    members: list[Member]
    next_page_token: str = Field(description="Empty: this is the last page.")


class LoginMemberResponse(BaseModel):
    """A new session, and its member."""

    session: Session
    member: Member


class RenewAccessTokenResponse(BaseModel):
    """A renewed session."""

    session: Session


class ListSessionsResponse(BaseModel):
    """The sessions of a member; the one that was renewed last comes first."""

    sessions: list[LiveSession]


class VerifyEmailResponse(BaseModel):
    """The member whose address is verified."""

    member: Member
    already_verified: bool = Field(description="Whether the token had verified the address before.")
