"""Look at members, change and delete them."""

import base64
import binascii
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from member import audit, store
from member.audit import audited
from member.callers import Caller
from member.clock import Clock, utc_now
from member.errors import (
    AlreadyExistsError,
    CurrentPasswordError,
    InvalidInputError,
    MemberUnknownError,
    PermissionDeniedError,
    Violation,
)
from member.limits import Limits
from member.members import Changes, Credentials, Member, Page
from member.notices import Subject
from member.passwords import Passwords
from member.service.new_passwords import NewPasswords
from member.service.notices import Notices
from member.service.password_checks import PasswordChecks
from member.service.sessions import Sessions, Viewer
from member.service.verify_email_tasks import VerifyEmailTasks
from member.store.database import Database
from member.validation import changed, is_membername, validated_password

_PAGE, _PAGE_MAX = 50, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """What members do with their accounts, and administrators with all."""

    database: Database
    sessions: Sessions
    passwords: Passwords
    checks: PasswordChecks
    tasks: VerifyEmailTasks
    notices: Notices
    new_passwords: NewPasswords
    limits: Limits
    clock: Clock = utc_now

    @audited("GetMember", changes=False)
    async def get(self, caller: Caller, membername: str) -> Member:
        """Return a member: the caller's own, or any to an administrator.

        Raises:
            AccessTokenError: If the caller shows no good access token.
            PermissionDeniedError: If it is somebody else.
            MemberUnknownError: If there is no such member.
        """
        viewer = await self.sessions.viewer(caller)
        member = await self.seen_by(viewer, membername)
        return member if member.id == viewer.member.id else member.seen_by_others()

    @audited("ListMembers", changes=False)
    async def list_page(self, caller: Caller, *, size: int = 0, token: str = "") -> Page:
        """Return some members, by name, to an administrator.

        Args:
            caller: Who asks.
            size: How many, 1 to 100; 0 for 50.
            token: The `Page.next_token` of the page before; empty for the first.

        Raises:
            InvalidInputError: If *size* or *token* is none.
            AccessTokenError: If the caller shows no good access token.
            PermissionDeniedError: If the caller is no administrator.
        """
        viewer = await self.sessions.viewer(caller)
        if not viewer.member.is_admin:
            raise PermissionDeniedError
        limit, after = _page_size(size), page_position(token)
        async with self.database.reading() as session:
            found = await store.members.after(session, after, limit=limit + 1)
        shown = tuple(member.seen_by_others() for member in found[:limit])
        more = len(found) > limit
        return Page(members=shown, next_token=_token_after(shown[-1]) if more else "")

    @audited("UpdateMember")
    async def update(self, caller: Caller, membername: str, changes: Changes) -> Member:
        """Change the caller's own member; a new address takes effect once it is verified.

        Until then the present one stays in use, and is told. Nobody's place is taken meanwhile.

        Raises:
            AccessTokenError: If the caller shows no good access token.
            PermissionDeniedError: If it is somebody else.
            InvalidInputError: If fields break their rules, or there is a new address and no
                password.
            CurrentPasswordError: If there is a new address, and the password is wrong.
            AlreadyExistsError: If the address is another member's.
            DistributeError: If a mail could not be queued.
            LimitedError: If there were too many new addresses, or too many wrong passwords.
            MemberUnknownError: If it was deleted just now.
        """
        viewer = await self._oneself(caller, membername)
        email = changes.email and changed(viewer.member, changes).pending_email
        proven = await self._check_new_email(caller, membername, email, changes) if email else None
        async with self.database.writing() as session:
            present = await store.members.by_id(session, viewer.member.id, lock=True)
            if present is None:
                raise MemberUnknownError
            member = changed(present, changes)
            if proven or member.pending_email not in {None, present.pending_email}:
                await self._check_unchanged(session, member, proven)
            audit.tell(changed=_changed_fields(present, member))
            await store.members.change(session, member)
            if email or member.pending_email != present.pending_email:
                await self._verify_anew(session, present, member)
        return member

    async def _check_new_email(
        self, caller: Caller, membername: str, email: str, changes: Changes
    ) -> Credentials:
        await self.limits.create_member(caller.address, email)
        proven = await self._prove(caller, membername, changes.current_password)
        await self.limits.resend(caller.address, email)  # here, for a wrong password sends no mail
        async with self.database.reading() as session:
            holder = await store.members.by_email(session, email)
        if holder and holder.email_verified_at:  # of others, who verifies first has it
            raise AlreadyExistsError(("email",))
        return proven

    async def _check_unchanged(
        self, session: AsyncSession, member: Member, proven: Credentials | None
    ) -> None:
        """Refuse another address if what was *proven* does not hold any more.

        A new password may have come meanwhile, which ends what was asked with the old one; or the
        present address may have changed, and what was no other one is one now.
        """
        same = proven.password_hash if proven else ""
        if not await store.members.replace_password_hash(session, member.id, old=same, new=same):
            raise CurrentPasswordError

    async def _verify_anew(self, session: AsyncSession, before: Member, member: Member) -> None:
        await store.verifications.replace(session, member.id, at=self.clock())
        if member.email_to_verify:
            await self.tasks.queue(member)
        if member.pending_email not in {None, before.pending_email}:
            await self.notices.tell(session, member, Subject.EMAIL_CHANGE)

    async def _prove(self, caller: Caller, membername: str, password: str) -> Credentials:
        """Return the credentials of the member, who is logged in and knows the password."""
        if not password:  # it was forgotten: no guess, and not wrong
            raise InvalidInputError((Violation("current_password", "is required"),))
        found = await self.checks.from_inside(caller, membername, password)
        if found is None:
            raise CurrentPasswordError
        return found

    @audited("ChangePassword")
    async def change_password(
        self, caller: Caller, membername: str, *, current: str, new: str
    ) -> None:
        """Set a new password and end the caller's other sessions.

        A change of the address that was asked with the old one is taken back.

        Raises:
            AccessTokenError: If the caller shows no good access token.
            PermissionDeniedError: If it is somebody else.
            CurrentPasswordError: If the *current* password is wrong.
            InvalidInputError: If the *new* one breaks a rule.
            LimitedError: If there were too many attempts.
            DistributeError: If the mail that tells it could not be queued.
        """
        viewer = await self._oneself(caller, membername)
        new = validated_password(new, viewer.member)
        await self.limits.change_password(caller.address, membername)
        found = await self._prove(caller, membername, current)
        new_hash = await self.passwords.hash(new, caller.address)
        await self._replace_password(viewer, found.password_hash, new_hash)

    async def _replace_password(self, viewer: Viewer, old: str, new: str) -> None:
        async with self.database.writing() as session:
            if not await store.members.replace_password_hash(
                session, viewer.member.id, old=old, new=new
            ):
                raise CurrentPasswordError  # somebody changed it just now
            await store.password_resets.replace(session, viewer.member.id, at=self.clock())
            ended = await self.new_passwords.settle(
                session, viewer.member.id, but=viewer.session_id
            )
        audit.tell(sessions_ended=ended)

    @audited("DeleteMember")
    async def delete(self, caller: Caller, membername: str) -> None:
        """Remove a member and everything about it: the caller's own, or any for an administrator.

        Raises:
            AccessTokenError: If the caller shows no good access token.
            PermissionDeniedError: If it is somebody else.
            MemberUnknownError: If there is no such member.
        """
        viewer = await self.sessions.viewer(caller)
        member = await self.seen_by(viewer, membername)
        audit.tell_member(member)
        async with self.database.writing() as session:
            await store.outbox.forget(session, {member.membername})
            await store.members.delete(session, member.id)

    async def seen_by(self, viewer: Viewer, membername: str) -> Member:
        """Return a member whom *viewer* may look after: itself, or any if it is an administrator.

        Raises:
            PermissionDeniedError: If it is somebody else.
            MemberUnknownError: If there is no such member.
        """
        audit.tell_name(membername)
        if membername == viewer.member.membername:
            return viewer.member
        if not viewer.member.is_admin:
            raise PermissionDeniedError
        async with self.database.reading() as session:
            known = is_membername(membername)
            member = await store.members.by_name(session, membername) if known else None
        if member is None:
            raise MemberUnknownError
        return member

    async def _oneself(self, caller: Caller, membername: str) -> Viewer:
        viewer = await self.sessions.viewer(caller)
        audit.tell_name(membername)
        if membername != viewer.member.membername:
            raise PermissionDeniedError
        audit.tell_member(viewer.member)
        return viewer


def _changed_fields(before: Member, after: Member) -> list[str]:
    fields = ("full_name", "pending_email", "locale")
    return [name for name in fields if getattr(before, name) != getattr(after, name)]


def _page_size(size: int) -> int:
    if not 0 <= size <= _PAGE_MAX:
        raise InvalidInputError((Violation("page_size", f"must be 1 to {_PAGE_MAX}"),))
    return size or _PAGE


def _token_after(member: Member) -> str:
    return base64.urlsafe_b64encode(member.membername.encode()).decode()


def page_position(page_token: str) -> str:
    """Return the member name that the last page ended with, or an empty text for the first.

    Raises:
        InvalidInputError: If *page_token* is none.
    """
    try:
        name = base64.b64decode(page_token, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        name = None
    if name is None or (name and not is_membername(name)):
        raise InvalidInputError((Violation("page_token", "is not that of a page before"),))
    return name
