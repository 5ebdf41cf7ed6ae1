"""Let members who forgot the password set a new one, by a link in a mail."""

from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from member import audit, store
from member.audit import audited
from member.callers import Caller
from member.clock import Clock, utc_now
from member.errors import DistributeError
from member.limits import Limits
from member.limits.keys import address_key
from member.members import Member
from member.metrics import Outcomes
from member.passwords import Passwords
from member.service.links import ERRORS, CheckedLink, LinkChecks
from member.service.new_passwords import NewPasswords
from member.service.verifications import RESEND_TIME, take_at_least
from member.store.database import Database
from member.tokens import link_id
from member.validation import validate_email_address, validate_new_password
from member.verification import PasswordReset, Standing
from member.worker.distributor import TaskDistributor
from member.worker.tasks import (
    MAIL_DELAY,
    QUEUE_CRITICAL,
    SEND_PASSWORD_RESET_MAX_RETRY,
    PayloadSendPasswordReset,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordResets:
    """Sends links that set a new password, and sets the password."""

    database: Database
    links: LinkChecks[PasswordReset]
    passwords: Passwords
    new_passwords: NewPasswords
    distributor: TaskDistributor
    limits: Limits
    outcomes: Outcomes
    clock: Clock = utc_now

    async def request(self, caller: Caller, email: str) -> None:
        """Queue a mail with a link, and make older links invalid, if the address is a member's.

        The address must be verified, because anybody who reads the mail gets the account. In every
        case the answer is the same and takes the same time.

        Raises:
            InvalidInputError: If *email* is no address.
            LimitedError: If there were too many attempts.
        """
        try:
            await self._request(caller, email)
        except DistributeError as error:  # the answer must not show that the member exists
            log.exception("a mail for a new password was not queued", reason=error.reason)

    @audited("RequestPasswordReset")
    async def _request(self, caller: Caller, email: str) -> None:
        address = validate_email_address(email)
        await self.limits.request_reset(caller.address, address)
        async with take_at_least(RESEND_TIME), self.database.writing() as session:
            member = await store.members.by_email(session, address, lock=True)
            if member and member.email_verified_at:
                audit.note_member(member)
                await store.password_resets.replace(session, member.id, at=self.clock())
                await self._queue(member)
            else:
                audit.note(reason="not_needed")

    async def _queue(self, member: Member) -> None:
        await self.distributor.distribute_task_send_password_reset(
            PayloadSendPasswordReset(member.membername),
            max_retry=SEND_PASSWORD_RESET_MAX_RETRY,
            process_in=MAIL_DELAY,
            queue=QUEUE_CRITICAL,
        )

    @audited("ResetPassword", changes=False)
    async def check(self, caller: Caller, token: str) -> None:
        """Check that *token* can set a password; change nothing.

        Raises:
            LinkError: If it cannot; the subclass says why.
            LimitedError: If there were too many attempts.
        """
        await self.limits.reset_password(caller.address, link_id(token))
        async with self.database.reading() as session:
            found = await self.links.read(session, token)
            owner = await found.owner(session)
        found.check(owner, Standing.FRESH)

    @audited("ResetPassword")
    async def reset(self, caller: Caller, token: str, new: str) -> None:
        """Set a new password and end all sessions of the member that *token* was sent to.

        The caller's address is known from now on, so guesses of strangers do not lock the member
        out there.

        Raises:
            LinkError: If the token cannot set a password; the subclass says why.
            InvalidInputError: If the *new* password breaks a rule; the token stays valid.
            LimitedError: If there were too many attempts.
            DistributeError: If the mail about it could not be queued.
        """
        with self.outcomes.counting():
            await self.limits.reset_password(caller.address, link_id(token))
            async with self.database.writing() as session:
                found = await self.links.follow(session, token)
                owner = await found.owner(session)
            # Only now, after the commit, so that a wrong attempt stays counted.
            password = validate_new_password(new, found.check(owner, Standing.FRESH))
            new_hash = await self.passwords.hash(password, caller.address)
            async with self.database.writing() as session:
                match await self.links.follow(session, token):
                    case CheckedLink(Standing.FRESH, PasswordReset() as fresh):
                        await self._set(session, caller, fresh, new_hash)
                    case other:
                        raise ERRORS[other.standing]

    async def _set(
        self, session: AsyncSession, caller: Caller, reset: PasswordReset, new_hash: str
    ) -> None:
        now, place = self.clock(), address_key(caller.address)
        await store.password_resets.mark_used(session, reset.id, at=now)
        await store.members.set_password_hash(session, reset.member_id, new_hash)
        await store.places.note(session, reset.member_id, place, at=now)
        audit.note(sessions_ended=await self.new_passwords.finish(session, reset.member_id))
