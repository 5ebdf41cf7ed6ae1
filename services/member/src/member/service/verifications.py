"""Verify that addresses belong to members."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from member import audit, store
from member.audit import audited
from member.callers import Caller
from member.clock import Clock, utc_now
from member.errors import (
    DistributeError,
    LinkError,
    LinkExpiredError,
    LinkLockedError,
    LinkReplacedError,
    LinkUnknownError,
)
from member.limits import Limits
from member.members import Member
from member.metrics import Outcomes
from member.service.verify_email_tasks import VerifyEmailTasks
from member.store.database import Database
from member.tokens import fingerprint, link_id
from member.validation import validated_email
from member.verification import Standing, Verification, is_under_way, standing

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# From when it is due: to be taken up, and to be sent.
_MAIL_TAKES = timedelta(minutes=1)

# Longer than the work takes that only an address in need of it makes.
RESEND_TAKES = timedelta(milliseconds=300)

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
class Verifications:
    """Verifies addresses.

    Attributes:
        max_wrong: Wrong tokens after which a link is locked.
    """

    database: Database
    tasks: VerifyEmailTasks
    limits: Limits
    outcomes: Outcomes
    max_wrong: int
    clock: Clock = utc_now

    @audited("VerifyEmail")
    async def verify(self, caller: Caller, token: str) -> Verified:
        """Verify the address that *token* was sent to.

        Raises:
            LinkError: If the token does not verify; its leaves say why.
            AlreadyExistsError: If another member has verified the address meanwhile.
            LimitedError: If there were too many attempts.
        """
        with self.outcomes.counting() as ending:
            await self.limits.verify_email(caller.address, link_id(token))
            async with self.database.writing() as session:
                link = await self._link(session, token, lock=True)
                removed = await self._spend(session, link)
                member = await self._owner(session, link)
            audit.tell_purged(removed)
            # Only now, after the commit: a wrong attempt must stay counted.
            verified = _verified(link, member)
            if verified.already:
                ending.word = "already"
                audit.tell(reason="already")
            return verified

    @audited("VerifyEmail", changes=False)
    async def look(self, caller: Caller, token: str) -> bool:
        """Tell whether *token* has verified its address already; change nothing.

        Raises:
            LinkError: If the token could not verify; its leaves say why.
            LimitedError: If there were too many attempts.
        """
        await self.limits.verify_email(caller.address, link_id(token))
        async with self.database.reading() as session:
            link = await self._link(session, token)
            member = await self._owner(session, link)
        return _verified(link, member).already

    async def resend(self, caller: Caller, email: str) -> None:
        """Queue a new mail, and make older links void, if the address is to be verified.

        Not while a mail is under way: that is the new one. Whatever it does, it looks alike and
        takes alike long.

        Raises:
            InvalidInputError: If *email* is no address.
            LimitedError: If there were too many attempts.
        """
        try:
            await self._resend(caller, email)
        except DistributeError as error:  # told, it would tell that there is such a member
            log.exception("a verification mail was not queued again", reason=error.reason)

    @audited("ResendVerifyEmail")
    async def _resend(self, caller: Caller, email: str) -> None:
        address = validated_email(email)
        await self.limits.resend(caller.address, address)
        async with taking_at_least(RESEND_TAKES), self.database.writing() as session:
            member = await store.members.waiting_for(session, address)
            if member and await self._needs_mail(session, member):
                audit.tell_member(member)
                await store.verifications.replace(session, member.id, at=self.clock())
                await self.tasks.queue(member)
            else:
                audit.tell(reason="not_needed")

    async def _needs_mail(self, session: AsyncSession, member: Member) -> bool:
        current = await store.verifications.current(session, member.id)
        changed_at = await store.verifications.last_change(session, member.id)
        asked_at = changed_at or member.created_at
        takes = self.tasks.delay + _MAIL_TAKES
        return not is_under_way(current, asked_at, self.clock(), takes)

    async def _link(self, session: AsyncSession, token: str, *, lock: bool = False) -> _Link:
        claimed = link_id(token)
        found = claimed and await store.verifications.by_id(session, claimed, lock=lock)
        if found is None:
            return _Link(Standing.WRONG)
        worth = standing(found, fingerprint(token), now=self.clock(), max_wrong=self.max_wrong)
        return _Link(worth, found)

    async def _spend(self, session: AsyncSession, link: _Link) -> Sequence[Member]:
        """Do what the link is worth; return who had signed up with its address and lost it."""
        match link:
            case _Link(Standing.FRESH, Verification() as fresh):
                now = self.clock()
                await store.verifications.mark_used(session, fresh.id, at=now)
                await store.password_resets.replace(session, fresh.member_id, at=now)
                removed = await store.members.verify_email(
                    session, fresh.member_id, fresh.email, at=now
                )
                if removed:
                    names = {member.membername for member in removed}
                    await store.outbox.forget(session, names)
                return removed
            case _Link(Standing.WRONG, Verification() as guessed_at):
                await store.verifications.count_wrong_attempt(session, guessed_at.id)
            case _:
                pass
        return ()

    async def _owner(self, session: AsyncSession, link: _Link) -> Member | None:
        if link.verification is None:
            return None
        member = await store.members.by_id(session, link.verification.member_id)
        if member:
            audit.tell_member(member)
        return member


def _verified(link: _Link, member: Member | None) -> Verified:
    if error := _LINK_ERRORS.get(link.standing):
        raise error
    if member is None:  # deleted, and the link with it
        raise LinkUnknownError
    return Verified(member=member.seen_by_others(), already=link.standing is Standing.USED)


@asynccontextmanager
async def taking_at_least(duration: timedelta) -> AsyncGenerator[None]:
    """Let the block end no sooner than this, so that its time tells nothing about it."""
    loop = asyncio.get_running_loop()
    end = loop.time() + duration.total_seconds()
    try:
        yield
    finally:
        await asyncio.sleep(end - loop.time())
