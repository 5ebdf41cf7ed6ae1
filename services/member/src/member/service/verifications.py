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
from member.errors import DistributeError
from member.limits import Limits
from member.members import Member
from member.metrics import Outcomes
from member.service.links import CheckedLink, LinkChecks
from member.service.verify_email_tasks import VerifyEmailTasks
from member.store.database import Database
from member.tokens import link_id
from member.validation import validate_email_address
from member.verification import Standing, Verification, is_under_way

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Time from the due time of a task until its mail is sent.
_MAIL_TIME = timedelta(minutes=1)

# Longer than the extra work for an address that needs a mail.
RESEND_TIME = timedelta(milliseconds=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The member whose address a link has verified, now or before."""

    member: Member
    already: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifications:
    """Verifies addresses."""

    database: Database
    links: LinkChecks[Verification]
    tasks: VerifyEmailTasks
    limits: Limits
    outcomes: Outcomes
    clock: Clock = utc_now

    @audited("VerifyEmail")
    async def verify(self, caller: Caller, token: str) -> Verified:
        """Verify the address that *token* was sent to.

        Raises:
            LinkError: If the token cannot verify; the subclass says why.
            AlreadyExistsError: If another member has verified the address meanwhile.
            LimitedError: If there were too many attempts.
        """
        with self.outcomes.counting() as ending:
            await self.limits.verify_email(caller.address, link_id(token))
            async with self.database.writing() as session:
                found = await self.links.follow(session, token)
                removed = await self._use(session, found)
                owner = await found.owner(session)
            audit.record_purges(removed)
            # Only now, after the commit, so that a wrong attempt stays counted.
            verified = _check(found, owner)
            if verified.already:
                ending.word = "already"
                audit.note(reason="already")
            return verified

    @audited("VerifyEmail", changes=False)
    async def check(self, caller: Caller, token: str) -> bool:
        """Check that *token* can verify its address; return whether it has done so; change nothing.

        Raises:
            LinkError: If the token could not verify; the subclass says why.
            LimitedError: If there were too many attempts.
        """
        await self.limits.verify_email(caller.address, link_id(token))
        async with self.database.reading() as session:
            found = await self.links.read(session, token)
            owner = await found.owner(session)
        return _check(found, owner).already

    async def resend(self, caller: Caller, email: str) -> None:
        """Queue a new mail, and make older links invalid, if a member has to verify the address.

        While a mail is already under way, no second one is queued. In every case the answer is the
        same and takes the same time.

        Raises:
            InvalidInputError: If *email* is no address.
            LimitedError: If there were too many attempts.
        """
        try:
            await self._resend(caller, email)
        except DistributeError as error:  # the answer must not show that the member exists
            log.exception("a verification mail was not queued again", reason=error.reason)

    @audited("ResendVerifyEmail")
    async def _resend(self, caller: Caller, email: str) -> None:
        address = validate_email_address(email)
        await self.limits.resend(caller.address, address)
        async with take_at_least(RESEND_TIME), self.database.writing() as session:
            member = await store.members.waiting_for(session, address)
            if member and await self._needs_mail(session, member):
                audit.note_member(member)
                await store.verifications.replace(session, member.id, at=self.clock())
                await self.tasks.queue(member)
            else:
                audit.note(reason="not_needed")

    async def _needs_mail(self, session: AsyncSession, member: Member) -> bool:
        current = await store.verifications.current(session, member.id)
        changed_at = await store.verifications.last_change(session, member.id)
        asked_at = changed_at or member.created_at
        takes = self.tasks.delay + _MAIL_TIME
        return not is_under_way(current, asked_at, self.clock(), takes)

    async def _use(
        self, session: AsyncSession, found: CheckedLink[Verification]
    ) -> Sequence[Member]:
        """Verify the address of a fresh link; return the unverified members removed for it."""
        if found.link is None or found.standing is not Standing.FRESH:
            return ()
        link, now = found.link, self.clock()
        await store.verifications.mark_used(session, link.id, at=now)
        await store.password_resets.replace(session, link.member_id, at=now)
        removed = await store.members.verify_email(session, link.member_id, link.email, at=now)
        await store.outbox.forget(session, {member.membername for member in removed})
        return removed


def _check(found: CheckedLink[Verification], owner: Member | None) -> Verified:
    member = found.check(owner, Standing.FRESH, Standing.USED)
    return Verified(member=member.seen_by_others(), already=found.standing is Standing.USED)


@asynccontextmanager
async def take_at_least(duration: timedelta) -> AsyncGenerator[None]:
    """Make the block take at least *duration*, so that its time reveals nothing about its work."""
    loop = asyncio.get_running_loop()
    end = loop.time() + duration.total_seconds()
    try:
        yield
    finally:
        await asyncio.sleep(end - loop.time())
