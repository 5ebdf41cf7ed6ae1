"""Send mails; a recipient sees each of them once.

A worker can die after it has sent a mail and before it has recorded that. The task then
runs again and sends the same mail: the same link and the same Message-ID. So a mail
client shows one message, and a link that was sent stays valid.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from member import store, tracing
from member.clock import Clock, utc_now
from member.errors import MailPointlessError
from member.mail.letters import Kind, Letter, Letters
from member.mail.transport import MailTransport
from member.members import Member
from member.store.database import Database
from member.store.links import Links
from member.tokens import RESET_PASSWORD, VERIFY_EMAIL, TokenMint, fingerprint
from member.verification import Mail, MailedLink, mail_to_send

MarkSent: TypeAlias = Callable[..., Awaitable[None]]
"""Records that the mail server accepted a mail: ``mark_sent(session, its id, at=now)``."""


class Delivery(Enum):
    """The outcome of a task that sends a mail."""

    SENT = auto()
    SENT_BEFORE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMails:
    """Mails of one kind, with a link in each.

    Attributes:
        lifetime: How long a link works, counted from the last sending.
        address: Returns the address for a member's mail; None if there is nothing to send.
        no_address: Why there is nothing to send, for the log.
    """

    kind: Kind
    stored: Links[Any]
    mint: TokenMint
    lifetime: timedelta
    address: Callable[[Member], str | None]
    no_address: str


def verifications(key: bytes, lifetime: timedelta) -> LinkMails:
    """Return the mails that verify addresses."""
    return LinkMails(
        kind=Kind.VERIFY_EMAIL,
        stored=store.verifications,
        mint=TokenMint(key, VERIFY_EMAIL),
        lifetime=lifetime,
        address=lambda member: member.email_to_verify,
        no_address="the address is already verified",
    )


def password_resets(key: bytes, lifetime: timedelta) -> LinkMails:
    """Return the mails for members who forgot the password."""
    return LinkMails(
        kind=Kind.RESET_PASSWORD,
        stored=store.password_resets,
        mint=TokenMint(key, RESET_PASSWORD),
        lifetime=lifetime,
        address=lambda member: member.email if member.email_verified_at else None,
        no_address="the address is not verified",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Sends mails to members."""

    database: Database
    letters: Letters
    transport: MailTransport
    verifications: LinkMails
    password_resets: LinkMails
    clock: Clock = utc_now
    _locks: WeakValueDictionary[tuple[Kind, str], asyncio.Lock] = field(
        default_factory=WeakValueDictionary[tuple[Kind, str], asyncio.Lock], init=False, repr=False
    )

    async def send_verify_email(self, membername: str) -> Delivery:
        """Send the mail that verifies an address, unless it was sent before.

        Raises:
            MailPointlessError: If the member is gone or the address verified.
            MailRefusedError: If the mail server will never accept the mail.
            MailDelayedError: If it may accept the mail later.
        """
        return await self._send_link(self.verifications, membername)

    async def send_password_reset(self, membername: str) -> Delivery:
        """Send the mail that lets a member set a new password, unless it was sent before.

        Raises:
            MailPointlessError: If the member is gone or has no verified address.
            MailRefusedError: If the mail server will never accept the mail.
            MailDelayedError: If it may accept the mail later.
        """
        return await self._send_link(self.password_resets, membername)

    async def _send_link(self, links: LinkMails, membername: str) -> Delivery:
        # Tasks of quick requests become due together. The first sends; the others find the mail
        # sent.
        lock = self._locks.setdefault((links.kind, membername), asyncio.Lock())
        async with lock:
            letter = await self._link_letter(links, membername)
            return await self._deliver(letter, links.stored.mark_sent)

    async def send_notice(self, notice_id: UUID) -> Delivery:
        """Send a member the mail of a notice, unless it was sent before.

        Raises:
            MailPointlessError: If the member is gone.
            MailRefusedError: If the mail server will never accept the mail.
            MailDelayedError: If it may accept the mail later.
        """
        letter = await self._notice_letter(notice_id)
        return await self._deliver(letter, store.notices.mark_sent)

    async def _deliver(self, letter: Letter | None, mark_sent: MarkSent) -> Delivery:
        if letter is None:
            return Delivery.SENT_BEFORE
        with tracing.span("client", "send mail"):
            await self.transport.send(self.letters.write(letter))
        async with self.database.writing() as session:
            await mark_sent(session, letter.letter_id, at=self.clock())
        return Delivery.SENT

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

    async def _link_letter(self, links: LinkMails, membername: str) -> Letter | None:
        """Return the letter to send, its link valid from now on; None if it was sent before."""
        async with self.database.writing() as session:
            # The row is locked: a second task for this member waits here.
            member = await store.members.by_name(session, membername, lock=True)
            whom = f"member {membername}"
            if member is None:
                raise MailPointlessError(whom, "there is no such member")
            if (email := links.address(member)) is None:
                raise MailPointlessError(whom, links.no_address)
            link = await self._link(session, links, member, email)
        return link and Letter(
            kind=links.kind,
            letter_id=link.id,
            written_at=link.created_at,
            membername=member.membername,
            full_name=member.full_name,
            email=email,
            locale=member.locale,
            token=links.mint.token(link.id, email),
            lifetime=links.lifetime,
        )

    async def _link(
        self, session: AsyncSession, links: LinkMails, member: Member, email: str
    ) -> MailedLink | None:
        current = await links.stored.current(session, member.id)
        made = current and fingerprint(links.mint.token(current.id, email))
        match mail_to_send(current, email, made):
            case Mail.NONE:
                return None
            case Mail.SAME_AGAIN if current:
                expires_at = self.clock() + links.lifetime
                await links.stored.extend(session, current.id, expires_at=expires_at)
                return current
            case _:
                return await self._new_link(session, links, member, email)

    async def _new_link(
        self, session: AsyncSession, links: LinkMails, member: Member, email: str
    ) -> MailedLink:
        now, link_id = self.clock(), UUID(bytes=secrets.token_bytes(16))
        await links.stored.replace(session, member.id, at=now)
        link = MailedLink(
            id=link_id,
            member_id=member.id,
            email=email,
            token_hash=fingerprint(links.mint.token(link_id, email)),
            created_at=now,
            expires_at=now + links.lifetime,
        )
        await links.stored.insert(session, link)
        return link
