"""Show members where they are logged in, and end sessions for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from member import audit, store
from member.audit import audited
from member.callers import Caller
from member.clock import Clock, utc_now
from member.errors import SessionUnknownError
from member.service.members import Members
from member.service.sessions import Sessions
from member.sessions import LiveSession
from member.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSessions:
    """Lists and ends sessions: of the caller, or for an administrator of anyone.

    Each method raises `AccessTokenError` if the caller has no valid access token,
    `PermissionDeniedError` if the caller may not use the sessions of this member, and
    `MemberUnknownError` if there is no such member.
    """

    database: Database
    sessions: Sessions
    members: Members
    clock: Clock = utc_now

    @audited("ListSessions", changes=False)
    async def list_all(self, caller: Caller, membername: str) -> Sequence[LiveSession]:
        """Return the sessions of a member that have not ended, the one renewed last first."""
        viewer = await self.sessions.viewer(caller)
        member = await self.members.get_managed(viewer, membername)
        async with self.database.reading() as transaction:
            found = await store.sessions.of_member(transaction, member.id)
        now = self.clock()
        live = [
            LiveSession(
                session=session,
                ends_at=self.sessions.ends_at(session.created_at),
                is_current=session.id == viewer.session_id,
            )
            for session in found
        ]
        return [one for one in live if min(one.session.expires_at, one.ends_at) > now]

    @audited("EndSession")
    async def end(self, caller: Caller, membername: str, session_id: str) -> None:
        """End one session of a member and its access token at once.

        Raises:
            SessionUnknownError: If the member has no such session.
        """
        viewer = await self.sessions.viewer(caller)
        member = await self.members.get_managed(viewer, membername)
        audit.note_member(member)
        ended = _parse_id(session_id)
        async with self.database.writing() as transaction:
            if not ended or not await store.sessions.end_one(transaction, member.id, ended):
                raise SessionUnknownError
        audit.note(session_id=str(ended))

    @audited("EndAllSessions")
    async def end_all(self, caller: Caller, membername: str, *, keep_current: bool = False) -> None:
        """End all sessions of a member; with *keep_current*, all but the caller's."""
        viewer = await self.sessions.viewer(caller)
        member = await self.members.get_managed(viewer, membername)
        audit.note_member(member)
        kept = viewer.session_id if keep_current else None
        async with self.database.writing() as transaction:
            # Log-ins lock the member, too: after this, one under way has stored its session.
            await store.members.by_id(transaction, member.id, lock=True)
            ended = await store.sessions.end_all(transaction, member.id, but=kept)
        audit.note(sessions_ended=ended)


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
