"""The errors of the service.

::

    MemberError
    ├── InvalidInputError         fields of a request break their rules
    │   ├── RequestIdError        the id of this sign-up named another one before
    │   └── CurrentPasswordError  the current password is wrong
    ├── AlreadyExistsError        another member has the name or the address
    ├── UnauthenticatedError      the caller has not proved who it is
    │   ├── WrongPasswordError    the member name or the password is wrong
    │   ├── AccessTokenError      the access token is missing or invalid, or its session has ended
    │   └── RefreshTokenError     the refresh token is invalid, or its session has ended
    ├── PermissionDeniedError     the caller may not do this
    ├── MemberUnknownError        there is no such member
    ├── SessionUnknownError       the member has no such session
    ├── LimitedError              this was tried too often
    ├── DistributeError           a background task could not be queued
    ├── StoreUnavailableError     the database cannot answer now
    ├── LinkError                 a link in a mail is not valid now
    │   ├── LinkUnknownError      there is no such link
    │   ├── LinkExpiredError      it is too old
    │   ├── LinkReplacedError     a newer mail replaced it
    │   ├── LinkUsedError         it was used, and works only once
    │   └── LinkLockedError       too many wrong tokens were tried against it
    └── MailError                 a mail was not sent
        ├── MailPointlessError    and need not be sent any more
        ├── MailRefusedError      and never will be
        └── MailDelayedError      but may be sent later

Only `member.statuses` says which codes they have over gRPC and HTTP.
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class MemberError(Exception):
    """Root of the tree; its text may be shown to callers and holds no secret."""


def kind_of(error: MemberError) -> str:
    """Return the kind of *error* for metrics and audit records, such as ``link_expired``."""
    return _WORD.sub("_", type(error).__name__).lower().removesuffix("_error")


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request and the rule it breaks."""

    field: str
    description: str


class InvalidInputError(MemberError):
    """Fields of a request break their rules."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        """Say what is wrong with each field of *violations*."""
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = violations


class RequestIdError(InvalidInputError):
    """The id of this sign-up named another one before."""

    def __init__(self) -> None:
        """Name the field."""
        super().__init__((Violation("request_id", "was used for another sign-up"),))


class CurrentPasswordError(InvalidInputError):
    """The current password is wrong."""

    def __init__(self) -> None:
        """Name the field."""
        super().__init__((Violation("current_password", "is wrong"),))


class AlreadyExistsError(MemberError):
    """Another member has one of these values."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        """Name the *fields* that are taken."""
        super().__init__(f"a member with this {' and this '.join(fields)} already exists")
        self.fields = fields


class UnauthenticatedError(MemberError):
    """The caller has not proved who it is."""


class WrongPasswordError(UnauthenticatedError):
    """The member name or the password is wrong."""

    def __init__(self) -> None:
        """Do not say which of them is wrong."""
        super().__init__("the member name or the password is wrong")


class AccessTokenError(UnauthenticatedError):
    """The access token is missing, expired or forged, or its session has ended."""

    def __init__(self) -> None:
        """Say what is needed."""
        super().__init__("a valid access token is needed")


class RefreshTokenError(UnauthenticatedError):
    """The refresh token is expired, used or forged, or its session has ended."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the refresh token is not valid; log in again")


class PermissionDeniedError(MemberError):
    """The caller may not do this."""

    def __init__(self) -> None:
        """Say only that: more would help a caller to find out who exists."""
        super().__init__("you may not do this")


class MemberUnknownError(MemberError):
    """There is no such member."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("there is no such member")


class SessionUnknownError(MemberError):
    """The member has no such session."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("there is no such session")


class LimitedError(MemberError):
    """This was tried too often.

    Attributes:
        retry_after: Time after which it may be tried again.
        retry_after_s: The same in whole seconds, rounded up.
    """

    def __init__(self, retry_after: timedelta) -> None:
        """Say how long to wait, and not what was counted: that would help an attacker."""
        self.retry_after = retry_after
        self.retry_after_s = math.ceil(retry_after.total_seconds())
        super().__init__(f"too many attempts: try again in {self.retry_after_s} s")


class DistributeError(MemberError):
    """A background task could not be queued."""

    def __init__(self, task: str, reason: str) -> None:
        """Say which *task*, such as ``send verify email``, and the *reason*."""
        super().__init__(f"failed to distribute task to {task}: {reason}")
        self.task = task
        self.reason = reason


class StoreUnavailableError(MemberError):
    """The database cannot answer now; the same call may succeed in a moment."""

    def __init__(self) -> None:
        """Say only that: the error of the database is for the log."""
        super().__init__("the members' database is not available now: try again in a moment")


class LinkError(MemberError):
    """A link in a mail is not valid now."""


class LinkUnknownError(LinkError):
    """There is no such link."""

    def __init__(self) -> None:
        """Say only that: the caller may be guessing."""
        super().__init__("this link is not valid")


class LinkExpiredError(LinkError):
    """The link is too old."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("this link has expired")


class LinkReplacedError(LinkError):
    """A newer mail replaced the link."""

    def __init__(self) -> None:
        """Point to the newer mail."""
        super().__init__("a newer mail replaced this link")


class LinkUsedError(LinkError):
    """The link was used, and works only once."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("this link was used before")


class LinkLockedError(LinkError):
    """Too many wrong tokens were tried against the link."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("this link is locked after too many wrong attempts")


class MailError(MemberError):
    """A mail was not sent."""


class MailPointlessError(MailError):
    """The mail need not be sent: its member is gone, or its purpose."""

    def __init__(self, whom: str, reason: str) -> None:
        """Say the *reason*, and for whom or what the mail was, such as ``member alice``."""
        super().__init__(f"no mail for {whom}: {reason}")
        self.whom = whom
        self.reason = reason


class MailRefusedError(MailError):
    """The mail server will never accept this mail."""

    def __init__(self, reason: str) -> None:
        """Say the *reason*; it must not quote the recipient."""
        super().__init__(f"mail refused: {reason}")
        self.reason = reason


class MailDelayedError(MailError):
    """The mail server cannot accept this mail now."""

    def __init__(self, reason: str) -> None:
        """Say the *reason*; it must not quote the recipient."""
        super().__init__(f"mail delayed: {reason}")
        self.reason = reason
