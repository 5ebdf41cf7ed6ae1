"""What the service does, whoever asks: gRPC, a page, later REST. Knows no transport."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from member.clock import Clock, utc_now
from member.errors import (
    LinkError,
    LinkExpiredError,
    LinkLockedError,
    LinkReplacedError,
    LinkUnknownError,
)
from member.members import Member, NewMember, SignUp
from member.passwords import Passwords
from member.store import queries
from member.store.database import Database
from member.tokens import fingerprint, verification_id
from member.validation import validated
from member.verification import Standing, Verification, standing
from member.worker.distributor import TaskDistributor
from member.worker.tasks import (
    QUEUE_CRITICAL,
    SEND_VERIFY_EMAIL_MAX_RETRY,
    PayloadSendVerifyEmail,
)

_LINK_ERRORS: dict[Standing, type[LinkError]] = {
    Standing.WRONG: LinkUnknownError,
    Standing.LOCKED: LinkLockedError,
    Standing.REPLACED: LinkReplacedError,
    Standing.EXPIRED: LinkExpiredError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A link that verified its address, now or before."""

    member: Member
    already: bool


@dataclass(frozen=True, slots=True)
class _Link:
    """What a token led to; None where it led nowhere."""

    standing: Standing
    verification: Verification | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberService:
    """Creates members and verifies their addresses.

    Attributes:
        verify_email_delay: Wait before the verification mail.
        max_wrong: Wrong tokens after which a link is locked.
    """

    database: Database
    passwords: Passwords
    distributor: TaskDistributor
    verify_email_delay: timedelta
    max_wrong: int
    clock: Clock = utc_now

    async def create_member(self, sign_up: SignUp) -> Member:
        """Store a member and queue the verification mail; both or neither.

        The task is distributed inside the transaction: if it cannot be, the member is
        not stored, and the same sign-up can be tried again.

        Raises:
            InvalidInputError: If fields break their rules.
            AlreadyExistsError: If the name or the address is taken.
            DistributeError: If the mail could not be queued.
        """
        new = validated(sign_up)
        password_hash = await self.passwords.hash(new.password)
        member = self._member(new)
        async with self.database.writing() as session:
            await queries.insert_member(session, member, password_hash=password_hash)
            await self._distribute_verify_email(member)
        return member

    def _member(self, new: NewMember) -> Member:
        return Member(
            id=uuid4(),
            membername=new.membername,
            full_name=new.full_name,
            email=new.email,
            locale=new.locale,
            created_at=self.clock(),
            email_verified_at=None,
        )

    async def _distribute_verify_email(self, member: Member) -> None:
        await self.distributor.distribute_task_send_verify_email(
            PayloadSendVerifyEmail(membername=member.membername),
            max_retry=SEND_VERIFY_EMAIL_MAX_RETRY,
            process_in=self.verify_email_delay,
            queue=QUEUE_CRITICAL,
        )

    async def verify_email(self, token: str) -> Verified:
        """Verify the address that *token* was sent to.

        Raises:
            LinkError: If the token does not verify; its leaves say why.
        """
        async with self.database.writing() as session:
            link = await self._link(session, token, lock=True)
            await self._spend(session, link)
            member = await self._owner(session, link)
        # Only now, after the commit: a wrong attempt must stay counted.
        return _verified(link, member)

    async def look_at_link(self, token: str) -> bool:
        """Tell whether *token* has verified its address already; change nothing.

        Raises:
            LinkError: If the token could not verify; its leaves say why.
        """
        async with self.database.reading() as session:
            link = await self._link(session, token)
            member = await self._owner(session, link)
        return _verified(link, member).already

    async def _link(self, session: AsyncSession, token: str, *, lock: bool = False) -> _Link:
        claimed = verification_id(token)
        found = claimed and await queries.verification_by_id(session, claimed, lock=lock)
        if found is None:
            return _Link(Standing.WRONG)
        worth = standing(found, fingerprint(token), now=self.clock(), max_wrong=self.max_wrong)
        return _Link(worth, found)

    async def _spend(self, session: AsyncSession, link: _Link) -> None:
        match link:
            case _Link(Standing.FRESH, Verification() as fresh):
                now = self.clock()
                await queries.mark_verification_used(session, fresh.id, at=now)
                await queries.mark_email_verified(session, fresh.member_id, at=now)
            case _Link(Standing.WRONG, Verification() as guessed_at):
                await queries.count_wrong_attempt(session, guessed_at.id)
            case _:
                pass

    async def _owner(self, session: AsyncSession, link: _Link) -> Member | None:
        if link.verification is None:
            return None
        return await queries.member_by_id(session, link.verification.member_id)


def _verified(link: _Link, member: Member | None) -> Verified:
    if error := _LINK_ERRORS.get(link.standing):
        raise error
    if member is None:  # deleted, and the link with it
        raise LinkUnknownError
    return Verified(member=member, already=link.standing is Standing.USED)
