"""Send mails, each at most once as far as anybody can tell.

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
from member.mail.letters import Kind, Letter, Letters
from member.mail.transport import MailTransport
from member.members import Member
from member.store.database import Database
from member.tokens import TokenMint, fingerprint
from member.verification import Mail, Verification, mail_to_send


class Delivery(Enum):
    """What became of a mail."""

    SENT = auto()
    SENT_BEFORE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Sends mails to members.

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
        letter = await self._verification_letter(membername)
        if letter is None:
            return Delivery.SENT_BEFORE
        await self._deliver(letter)
        async with self.database.writing() as session:
            await store.verifications.mark_sent(session, letter.letter_id, at=self.clock())
        return Delivery.SENT

    async def send_notice(self, notice_id: UUID) -> Delivery:
        """Tell a member what happened, unless it was told.

        Raises:
            MailPointlessError: If the member is gone.
            MailRefusedError: If the mail server will never take the mail.
            MailDelayedError: If it may take the mail later.
        """
        letter = await self._notice_letter(notice_id)
        if letter is None:
            return Delivery.SENT_BEFORE
        await self._deliver(letter)
        async with self.database.writing() as session:
            await store.notices.mark_sent(session, notice_id, at=self.clock())
        return Delivery.SENT

    async def _deliver(self, letter: Letter) -> None:
        with tracing.span("client", "send mail"):
            await self.transport.send(self.letters.written(letter))

    async def _notice_letter(self, notice_id: UUID) -> Letter | None:
        async with self.database.reading() as session:
            notice = await store.notices.by_id(session, notice_id)
            member = notice and await store.members.by_id(session, notice.member_id)
        if notice is None or member is None:
            whom = f"notice {notice_id}"
            raise MailPointlessError(whom, "the member is gone")
        if notice.sent_at is not None:
            return None
        return Letter(
            kind=Kind(notice.subject),
            letter_id=notice.id,
            written_at=notice.created_at,
            membername=member.membername,
            full_name=member.full_name,
            email=notice.email,
            locale=member.locale,
        )

    async def _verification_letter(self, membername: str) -> Letter | None:
        """Return the letter to send, its link valid from now on, or None if it was sent."""
        async with self.database.writing() as session:
            member, email = await self._unverified(session, membername)
            verification = await self._verification(session, member, email)
        if verification is None:
            return None
        return Letter(
            letter_id=verification.id,
            written_at=verification.created_at,
            membername=member.membername,
            full_name=member.full_name,
            email=email,
            locale=member.locale,
            token=self.mint.token(verification.id, email),
            lifetime=self.lifetime,
        )

    async def _unverified(self, session: AsyncSession, membername: str) -> tuple[Member, str]:
        """Return the member and what is to be verified.

        The member is locked: a second task for the same one waits here.
        """
        whom = f"member {membername}"
        member = await store.members.by_name(session, membername, lock=True)
        if member is None:
            raise MailPointlessError(whom, "there is no such member")
        if member.email_to_verify is None:
            raise MailPointlessError(whom, "the address is already verified")
        return member, member.email_to_verify

    async def _verification(
        self, session: AsyncSession, member: Member, email: str
    ) -> Verification | None:
        current = await store.verifications.current(session, member.id)
        made = current and fingerprint(self.mint.token(current.id, email))
        match mail_to_send(current, email, made):
            case Mail.NONE:
                return None
            case Mail.SAME_AGAIN if current:
                expires_at = self.clock() + self.lifetime
                await store.verifications.extend(session, current.id, expires_at=expires_at)
                return current
            case _:
                return await self._new_verification(session, member, email)

    async def _new_verification(
        self, session: AsyncSession, member: Member, email: str
    ) -> Verification:
        now, verification_id = self.clock(), UUID(bytes=secrets.token_bytes(16))
        await store.verifications.replace(session, member.id, at=now)
        verification = Verification(
            id=verification_id,
            member_id=member.id,
            email=email,
            token_hash=fingerprint(self.mint.token(verification_id, email)),
            created_at=now,
            expires_at=now + self.lifetime,
        )
        await store.verifications.insert(session, verification)
        return verification
