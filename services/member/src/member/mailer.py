"""Send verification mails, each at most once as far as anybody can tell.

A worker can die between sending a mail and noting that it did. The task then runs
again, and sends the same mail: the same link and the same Message-ID, so that a mail
client shows one message, and no link that somebody already holds becomes void.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from member import store, tracing
from member.clock import Clock, utc_now
from member.errors import MailPointlessError
from member.mail.letters import Letter, Letters
from member.mail.transport import MailTransport
from member.members import Member
from member.store.database import Database
from member.tokens import TokenMint, fingerprint
from member.verification import Mail, Verification, mail_to_send


class Delivery(Enum):
    """What became of a verification mail."""

    SENT = auto()
    SENT_BEFORE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Sends the mail that verifies a member's address.

    Attributes:
        lifetime: How long a link verifies, counted from the last sending.
    """

    database: Database
    mint: TokenMint
    letters: Letters
    transport: MailTransport
    lifetime: timedelta
    clock: Clock = utc_now

    async def send_verify_email(self, membername: str) -> Delivery:
        """Send the mail, unless it was sent.

        Raises:
            MailPointlessError: If the member is gone or the address verified.
            MailRefusedError: If the mail server will never take the mail.
            MailDelayedError: If it may take the mail later.
        """
        letter = await self._letter(membername)
        if letter is None:
            return Delivery.SENT_BEFORE
        with tracing.span("client", "send mail"):
            await self.transport.send(self.letters.written(letter))
        await self._mark_sent(letter.verification_id)
        return Delivery.SENT

    async def _letter(self, membername: str) -> Letter | None:
        """Return the letter to send, its link valid from now on, or None if it was sent."""
        async with self.database.writing() as session:
            member = await self._unverified(session, membername)
            verification = await self._verification(session, member)
        if verification is None:
            return None
        return Letter(
            verification_id=verification.id,
            written_at=verification.created_at,
            membername=member.membername,
            full_name=member.full_name,
            email=member.email,
            locale=member.locale,
            token=self.mint.token(verification.id, member.email),
            lifetime=self.lifetime,
        )

    async def _unverified(self, session: AsyncSession, membername: str) -> Member:
        """Return the member, locked: a second task for the same one waits here."""
        member = await store.members.by_name(session, membername, lock=True)
        if member is None:
            raise MailPointlessError(membername, "there is no such member")
        if member.email_verified_at is not None:
            raise MailPointlessError(membername, "the address is already verified")
        return member

    async def _verification(self, session: AsyncSession, member: Member) -> Verification | None:
        current = await store.verifications.current(session, member.id)
        made = current and fingerprint(self.mint.token(current.id, member.email))
        match mail_to_send(current, member.email, made):
            case Mail.NONE:
                return None
            case Mail.SAME_AGAIN if current:
                expires_at = self.clock() + self.lifetime
                await store.verifications.extend(session, current.id, expires_at=expires_at)
                return current
            case _:
                return await self._new_verification(session, member)

    async def _new_verification(self, session: AsyncSession, member: Member) -> Verification:
        now, verification_id = self.clock(), UUID(bytes=secrets.token_bytes(16))
        await store.verifications.replace(session, member.id, at=now)
        verification = Verification(
            id=verification_id,
            member_id=member.id,
            email=member.email,
            token_hash=fingerprint(self.mint.token(verification_id, member.email)),
            created_at=now,
            expires_at=now + self.lifetime,
        )
        await store.verifications.insert(session, verification)
        return verification

    async def _mark_sent(self, verification_id: UUID) -> None:
        async with self.database.writing() as session:
            await store.verifications.mark_sent(session, verification_id, at=self.clock())
