"""Read, change and delete members."""

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
from member.validation import is_membername, validate_new_password, with_changes

_PAGE, _PAGE_MAX = 50, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Reads, changes and deletes accounts: the caller's, or for an administrator anyone's."""

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
        """Return a member: the caller, or for an administrator anyone.

        Raises:
            AccessTokenError: If the caller has no valid access token.
            PermissionDeniedError: If it is another name, and the caller is no administrator.
            MemberUnknownError: If there is no such member.
        """
        viewer = await self.sessions.viewer(caller)
        member = await self.get_managed(viewer, membername)
        return member if member.id == viewer.member.id else member.seen_by_others()

    @audited("ListMembers", changes=False)
    async def list_page(self, caller: Caller, *, size: int = 0, token: str = "") -> Page:
        """Return a page of members, by name, to an administrator.

        Args:
            caller: The administrator.
            size: Members on the page, 1 to 100; 0 for 50.
            token: The `Page.next_token` of the page before; empty for the first.

        Raises:
            InvalidInputError: If *size* or *token* is invalid.
            AccessTokenError: If the caller has no valid access token.
            PermissionDeniedError: If the caller is no administrator.
        """
        viewer = await self.sessions.viewer(caller)
        if not viewer.member.is_admin:
            raise PermissionDeniedError
        limit, after = _page_size(size), page_position(token)
        async with self.database.reading() as session:
            found = await store.members.after(session, after, limit=limit + 1)
        members = tuple(member.seen_by_others() for member in found[:limit])
        more = len(found) > limit
        return Page(members=members, next_token=_token_after(members[-1]) if more else "")

    @audited("UpdateMember")
    async def update(self, caller: Caller, membername: str, changes: Changes) -> Member:
        """Change the caller's account; a new address takes effect once it is verified.

        Until then the present address stays in use; a notice goes to it. An address that waits is
        not reserved: other members may use it.

        Raises:
            AccessTokenError: If the caller has no valid access token.
            PermissionDeniedError: If the name is not the caller's.
            InvalidInputError: If fields break their rules, or a new address comes without a
                password.
            CurrentPasswordError: If a new address comes with a wrong password.
            AlreadyExistsError: If another member has verified the address.
            DistributeError: If a mail could not be queued.
            LimitedError: If there were too many new addresses, or too many wrong passwords.
            MemberUnknownError: If the member was deleted just now.
        """
        viewer = await self._check_own(caller, membername)
        email = changes.email and with_changes(viewer.member, changes).pending_email
        proven = await self._check_new_email(caller, membername, email, changes) if email else None
        async with self.database.writing() as session:
            present = await store.members.by_id(session, viewer.member.id, lock=True)
            if present is None:
                raise MemberUnknownError
            member = with_changes(present, changes)
            if proven or member.pending_email not in {None, present.pending_email}:
                await self._check_unchanged(session, member, proven)
            audit.note(changed=_changed_fields(present, member))
            await store.members.change(session, member)
            if email or member.pending_email != present.pending_email:
                await self._request_verification(session, present, member)
        return member

    async def _check_new_email(
        self, caller: Caller, membername: str, email: str, changes: Changes
    ) -> Credentials:
        await self.limits.create_member(caller.address, email)
        proven = await self._prove(caller, membername, changes.current_password)
        # Only now, because a wrong password sends no mail.
        await self.limits.resend(caller.address, email)
        async with self.database.reading() as session:
            holder = await store.members.by_email(session, email)
        # Of several unverified members, the first that verifies gets the address.
        if holder and holder.email_verified_at:
            raise AlreadyExistsError(("email",))
        return proven

    async def _check_unchanged(
        self, session: AsyncSession, member: Member, proven: Credentials | None
    ) -> None:
        """Refuse another address unless the *proven* password is still the member's.

        Meanwhile the password may have been changed, which cancels requests made with the old one.
        Or the present address may have changed, so that the requested one now differs from it and
        needs a password; without *proven* the check fails.
        """
        same = proven.password_hash if proven else ""
        if not await store.members.replace_password_hash(session, member.id, old=same, new=same):
            raise CurrentPasswordError

    async def _request_verification(
        self, session: AsyncSession, before: Member, member: Member
    ) -> None:
        await store.verifications.replace(session, member.id, at=self.clock())
        if member.email_to_verify:
            await self.tasks.queue(member)
        if member.pending_email not in {None, before.pending_email}:
            await self.notices.queue(session, member, Subject.EMAIL_CHANGE)

    async def _prove(self, caller: Caller, membername: str, password: str) -> Credentials:
        """Return the credentials of the logged-in member if the *password* is right."""
        if not password:  # missing: neither a guess nor wrong
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

        This cancels a waiting change of the address, which was requested with the old password.

        Raises:
            AccessTokenError: If the caller has no valid access token.
            PermissionDeniedError: If the name is not the caller's.
            CurrentPasswordError: If the *current* password is wrong.
            InvalidInputError: If the *new* password breaks a rule.
            LimitedError: If there were too many attempts.
            DistributeError: If the mail about it could not be queued.
        """
        viewer = await self._check_own(caller, membername)
        new = validate_new_password(new, viewer.member)
        await self.limits.change_password(caller.address, membername)
        found = await self._prove(caller, membername, current)
        new_hash = await self.passwords.hash(new, caller.address)
        await self._replace_password(viewer, found.password_hash, new_hash)

    async def _replace_password(self, viewer: Viewer, old: str, new: str) -> None:
        async with self.database.writing() as session:
            if not await store.members.replace_password_hash(
                session, viewer.member.id, old=old, new=new
            ):
                raise CurrentPasswordError  # another call changed it just now
            await store.password_resets.replace(session, viewer.member.id, at=self.clock())
            ended = await self.new_passwords.finish(
                session, viewer.member.id, but=viewer.session_id
            )
        audit.note(sessions_ended=ended)

    @audited("DeleteMember")
    async def delete(self, caller: Caller, membername: str) -> None:
        """Remove a member and everything about it: the caller, or for an administrator anyone.

        Raises:
            AccessTokenError: If the caller has no valid access token.
            PermissionDeniedError: If it is another name, and the caller is no administrator.
            MemberUnknownError: If there is no such member.
        """
        viewer = await self.sessions.viewer(caller)
        member = await self.get_managed(viewer, membername)
        audit.note_member(member)
        async with self.database.writing() as session:
            await store.outbox.forget(session, {member.membername})
            await store.members.delete(session, member.id)

    async def get_managed(self, viewer: Viewer, membername: str) -> Member:
        """Return a member that *viewer* may manage: itself, or anyone for an administrator.

        Raises:
            PermissionDeniedError: If it is another name, and the caller is no administrator.
            MemberUnknownError: If there is no such member.
        """
        audit.note_name(membername)
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

    async def _check_own(self, caller: Caller, membername: str) -> Viewer:
        viewer = await self.sessions.viewer(caller)
        audit.note_name(membername)
        if membername != viewer.member.membername:
            raise PermissionDeniedError
        audit.note_member(viewer.member)
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
    """Return the member name at the end of the page before; empty for the first page.

    Raises:
        InvalidInputError: If *page_token* is invalid.
    """
    try:
        name = base64.b64decode(page_token, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        name = None
    if name is None or (name and not is_membername(name)):
        raise InvalidInputError((Violation("page_token", "is not from a previous page"),))
    return name
