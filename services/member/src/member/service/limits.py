"""How often callers may call, as the service asks for it."""

from typing import Protocol
from uuid import UUID


class CallLimits(Protocol):
    """Lets a call pass, or raises `LimitedError`; counted by address and by account."""

    async def create_member(self, address: str, email: str) -> None:
        """Let somebody sign up with *email*."""
        ...

    async def log_in(self, address: str, membername: str) -> None:
        """Let somebody try a password of *membername*."""
        ...

    async def change_password(self, address: str, membername: str) -> None:
        """Let *membername* try the current password."""
        ...

    async def renew(self, address: str) -> None:
        """Let somebody show a refresh token."""
        ...

    async def verify_email(self, address: str, verification_id: UUID | None) -> None:
        """Let somebody show the token of a verification, or of none."""
        ...

    async def resend(self, address: str, email: str) -> None:
        """Let somebody ask for a mail to *email*."""
        ...


class Unlimited:
    """Lets every call pass."""

    async def create_member(self, address: str, email: str) -> None:
        """Pass."""

    async def log_in(self, address: str, membername: str) -> None:
        """Pass."""

    async def change_password(self, address: str, membername: str) -> None:
        """Pass."""

    async def renew(self, address: str) -> None:
        """Pass."""

    async def verify_email(self, address: str, verification_id: UUID | None) -> None:
        """Pass."""

    async def resend(self, address: str, email: str) -> None:
        """Pass."""
