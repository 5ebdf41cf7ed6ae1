"""Log members in and out, and identify callers."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from member import audit, store
from member.audit import audited
from member.callers import Caller
from member.clock import Clock, utc_now
from member.errors import AccessTokenError, RefreshTokenError, WrongPasswordError
from member.limits import Limits
from member.limits.keys import address_key
from member.members import Credentials, Member
from member.metrics import Outcomes
from member.passwords import Passwords
from member.service.password_checks import PasswordChecks
from member.sessions import MAX_SESSIONS, Renewal, Session, SessionTokens, renewal
from member.store.database import Database
from member.tokens import AccessClaim, AccessMint, RefreshClaim, RefreshMint
from member.validation import normalize_password


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The tokens of a new session, and its member."""

    member: Member
    tokens: SessionTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The caller and its session."""

    member: Member
    session_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Begins, renews and ends sessions.

    Attributes:
        access_lifetime: How long an access token is valid.
        refresh_lifetime: How long a refresh token is valid, and a session without renewal.
        session_lifetime: How long a session lives, however often it is renewed.
    """

    database: Database
    passwords: Passwords
    checks: PasswordChecks
    access: AccessMint
    refresh: RefreshMint
    limits: Limits
    outcomes: Outcomes
    access_lifetime: timedelta
    refresh_lifetime: timedelta
    session_lifetime: timedelta
    clock: Clock = utc_now

    @audited("LoginMember")
    async def log_in(self, caller: Caller, membername: str, password: str) -> LoggedIn:
        """Begin a session.

        An unknown member and a wrong password have the same answer and take the same time.

        Raises:
            WrongPasswordError: If the member name or the password is wrong.
            LimitedError: If there were too many attempts.
        """
        with self.outcomes.counting():
            await self.limits.log_in(caller.address, membername)
            while True:
                found = await self.checks.from_outside(caller, membername, password)
                if found is None:
                    raise WrongPasswordError
                if session := await self._begin(caller, found, normalize_password(password)):
                    _note_session(session)
                    return LoggedIn(member=found.member, tokens=self._tokens(session))

    async def _begin(self, caller: Caller, found: Credentials, password: str) -> Session | None:
        """Store a session; return None if the password has changed since it was checked."""
        member, old = found.member, found.password_hash
        # Hash again at today's cost: only here the password is known.
        outdated = self.passwords.is_outdated(old)
        new = await self.passwords.hash(password, caller.address) if outdated else old
        session = self._new_session(caller, member)
        async with self.database.writing() as transaction:
            if not await store.members.replace_password_hash(
                transaction, member.id, old=old, new=new
            ):
                return None
            await store.sessions.insert(transaction, session)
            place = address_key(caller.address)
            await store.places.note(transaction, member.id, place, at=session.created_at)
            ended = await store.sessions.end_oldest(transaction, member.id, keep=MAX_SESSIONS)
        if ended:
            audit.note(sessions_ended=ended)
        return session

    def _new_session(self, caller: Caller, member: Member) -> Session:
        now = self.clock()
        return Session(
            id=UUID(bytes=secrets.token_bytes(16)),
            member_id=member.id,
            generation=0,
            created_at=now,
            renewed_at=now,
            expires_at=self._expires_at(now, now),
            address=caller.address,
            user_agent=caller.user_agent,
        )

    def ends_at(self, created_at: datetime) -> datetime:
        """Return when a session that began at *created_at* ends, however often it is renewed."""
        return created_at + self.session_lifetime

    def _expires_at(self, created_at: datetime, now: datetime) -> datetime:
        """Return when a session that is renewed *now* expires."""
        return min(now + self.refresh_lifetime, self.ends_at(created_at))

    @audited("RenewAccessToken")
    async def renew(self, caller: Caller, refresh_token: str) -> SessionTokens:
        """Exchange a refresh token for new tokens.

        A token that was exchanged before ends its session, because one of its two users is a thief.
        But for a moment it gets the same answer again, for a client whose answer was lost.

        Raises:
            RefreshTokenError: If the token is invalid, or its session has ended.
            LimitedError: If there were too many attempts.
        """
        await self.limits.renew(caller.address)
        claim = self.refresh.read(refresh_token)
        if claim is None:
            raise RefreshTokenError
        async with self.database.writing() as transaction:
            session = await store.sessions.by_id(transaction, claim.session_id, lock=True)
            if session:
                _note_session(session)
            renewed = session and self._renew(session, claim.generation)
            if renewed is None:
                await store.sessions.end(transaction, claim.session_id)
            else:
                await store.sessions.renew(transaction, renewed)
        if renewed is None:  # only now, after the commit, so that the session stays ended
            raise RefreshTokenError
        return self._tokens(renewed)

    def _renew(self, session: Session, generation: int) -> Session | None:
        """Return the renewed session, or None if it ends."""
        now = self.clock()
        # Today's lifetime also applies to sessions that began under a longer one.
        until = min(session.expires_at, self.ends_at(session.created_at))
        session = replace(session, expires_at=until)
        match renewal(session, generation, now=now):
            case Renewal.NEXT:
                expires_at = self._expires_at(session.created_at, now)
                return replace(
                    session, generation=generation + 1, renewed_at=now, expires_at=expires_at
                )
            case Renewal.SAME_AGAIN:
                audit.note(reason="answered_again")
                return session
            case Renewal.STOLEN:
                audit.note(reason="spent_refresh_token")
                return None
            case Renewal.EXPIRED:
                audit.note(reason="expired")
                return None

    @audited("LogoutMember")
    async def log_out(self, caller: Caller, refresh_token: str) -> None:
        """End a session, if it exists.

        Raises:
            LimitedError: If there were too many attempts.
        """
        await self.limits.renew(caller.address)
        claim = self.refresh.read(refresh_token)
        ended = claim and await self._end(claim.session_id)
        if ended:
            _note_session(ended)
        else:
            audit.note(reason="no_session")

    async def _end(self, session_id: UUID) -> Session | None:
        """End a session; return it, or None if it does not exist."""
        async with self.database.writing() as transaction:
            session = await store.sessions.by_id(transaction, session_id, lock=True)
            await store.sessions.end(transaction, session_id)
        return session

    async def viewer(self, caller: Caller) -> Viewer:
        """Return the member that calls, and its session.

        Raises:
            AccessTokenError: If the caller has no valid access token.
        """
        now = self.clock()
        claim = self.access.read(caller.access_token, now=now)
        if claim is None:
            raise AccessTokenError
        async with self.database.reading() as transaction:
            member = await store.sessions.owner(transaction, claim.session_id)
        if member is None or member.id != claim.member_id:
            raise AccessTokenError
        audit.note_actor(member, claim.session_id)
        return Viewer(member=member, session_id=claim.session_id)

    def _tokens(self, session: Session) -> SessionTokens:
        now = self.clock()
        # An access token must not outlive its session.
        access_expires_at = min(now + self.access_lifetime, session.expires_at)
        access = AccessClaim(session.member_id, session.id)
        return SessionTokens(
            access_token=self.access.token(access, now=now, expires_at=access_expires_at),
            access_token_expires_at=access_expires_at,
            refresh_token=self.refresh.token(RefreshClaim(session.id, session.generation)),
            refresh_token_expires_at=session.expires_at,
        )


def _note_session(session: Session) -> None:
    audit.note(member_id=str(session.member_id), session_id=str(session.id))
