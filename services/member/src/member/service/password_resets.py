"""Let who forgot the password set a new one, by a link in a mail."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    LinkUsedError,
)
from member.limits import Limits
from member.limits.keys import address_key
from member.members import Member
from member.metrics import Outcomes
from member.passwords import Passwords
from member.service.new_passwords import NewPasswords
from member.service.verifications import RESEND_TAKES, taking_at_least
from member.store.database import Database
from member.tokens import fingerprint, link_id
from member.validation import validated_email, validated_password
from member.verification import PasswordReset, Standing, standing
from member.worker.distributor import TaskDistributor
from member.worker.tasks import (
    MAIL_DELAY,
    QUEUE_CRITICAL,
    SEND_PASSWORD_RESET_MAX_RETRY,
    PayloadSendPasswordReset,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_ERRORS: Mapping[Standing, type[LinkError]] = {
    Standing.WRONG: LinkUnknownError,
    Standing.USED: LinkUsedError,
    Standing.LOCKED: LinkLockedError,
    Standing.REPLACED: LinkReplacedError,
    Standing.EXPIRED: LinkExpiredError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordResets:
    """Sends links that set new passwords, and spends them.

    Attributes:
        max_wrong: Wrong tokens after which a link is locked.
    """

    database: Database
    passwords: Passwords
    new_passwords: NewPasswords
    distributor: TaskDistributor
    limits: Limits
    outcomes: Outcomes
    max_wrong: int
    clock: Clock = utc_now

    async def request(self, caller: Caller, email: str) -> None:
        """Queue a mail with a link, and make older ones void, if the address is a member's.

        It must be verified, for whoever reads the mail has the account. Whatever this does, it
        looks alike and takes alike long.

        Raises:
            InvalidInputError: If *email* is no address.
            LimitedError: If there were too many attempts.
        """
        try:
            await self._request(caller, email)
        except DistributeError as error:  # told, it would tell that there is such a member
            log.exception("a mail for a new password was not queued", reason=error.reason)

    @audited("RequestPasswordReset")
    async def _request(self, caller: Caller, email: str) -> None:
        address = validated_email(email)
        await self.limits.request_reset(caller.address, address)
        async with taking_at_least(RESEND_TAKES), self.database.writing() as session:
            member = await store.members.by_email(session, address, lock=True)
            if member and member.email_verified_at:
                audit.tell_member(member)
                await store.password_resets.replace(session, member.id, at=self.clock())
                await self._queue(member)
            else:
                audit.tell(reason="not_needed")

    async def _queue(self, member: Member) -> None:
        await self.distributor.distribute_task_send_password_reset(
            PayloadSendPasswordReset(member.membername),
            max_retry=SEND_PASSWORD_RESET_MAX_RETRY,
            process_in=MAIL_DELAY,
            queue=QUEUE_CRITICAL,
        )

    @audited("ResetPassword", changes=False)
    async def look(self, caller: Caller, token: str) -> None:
        """Return if *token* can set a password; change nothing.

        Raises:
            LinkError: If it cannot; its leaves say why.
            LimitedError: If there were too many attempts.
        """
        await self.limits.reset_password(caller.address, link_id(token))
        async with self.database.reading() as session:
            await self._owner(session, await self._fresh(session, token))

    @audited("ResetPassword")
    async def spend(self, caller: Caller, token: str, new: str) -> None:
        """Set a new password and end all sessions of the member that *token* was sent to.

        The caller's place is known from now on: guesses of strangers lock nobody out there.

        Raises:
            LinkError: If the token sets no password; its leaves say why.
            InvalidInputError: If the *new* password breaks a rule; the token stays good.
            LimitedError: If there were too many attempts.
            DistributeError: If the mail that tells it could not be queued.
        """
        with self.outcomes.counting():
            await self.limits.reset_password(caller.address, link_id(token))
            await self._count_if_wrong(token)
            async with self.database.reading() as session:
                member = await self._owner(session, await self._fresh(session, token))
            new_hash = await self.passwords.hash(validated_password(new, member), caller.address)
            async with self.database.writing() as session:
                reset = await self._fresh(session, token, lock=True)
                await self._set(session, caller, reset, new_hash)

    async def _set(
        self, session: AsyncSession, caller: Caller, reset: PasswordReset, new_hash: str
    ) -> None:
        now, place = self.clock(), address_key(caller.address)
        await store.password_resets.mark_used(session, reset.id, at=now)
        await store.members.set_password_hash(session, reset.member_id, new_hash)
        await store.places.note(session, reset.member_id, place, at=now)
        audit.tell(sessions_ended=await self.new_passwords.settle(session, reset.member_id))

    async def _count_if_wrong(self, token: str) -> None:
        """Count a wrong token in a transaction of its own, for the refusal undoes its own."""
        claimed = link_id(token)
        if claimed is None:
            return
        async with self.database.writing() as session:
            found = await store.password_resets.by_id(session, claimed, lock=True)
            if found and self._standing(found, token) is Standing.WRONG:
                await store.password_resets.count_wrong_attempt(session, claimed)

    async def _fresh(
        self, session: AsyncSession, token: str, *, lock: bool = False
    ) -> PasswordReset:
        claimed = link_id(token)
        found = claimed and await store.password_resets.by_id(session, claimed, lock=lock)
        if not found:
            raise LinkUnknownError
        if error := _ERRORS.get(self._standing(found, token)):
            raise error
        return found

    def _standing(self, reset: PasswordReset, token: str) -> Standing:
        return standing(reset, fingerprint(token), now=self.clock(), max_wrong=self.max_wrong)

    async def _owner(self, session: AsyncSession, reset: PasswordReset) -> Member:
        member = await store.members.by_id(session, reset.member_id)
        if member is None:  # deleted just now, and the link with it
            raise LinkUnknownError
        audit.tell_member(member)
        return member
