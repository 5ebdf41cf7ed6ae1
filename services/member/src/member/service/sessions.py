"""Log members in and out, and tell who calls."""

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
from member.validation import normalized_password


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A session that began, and whose it is."""

    member: Member
    tokens: SessionTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who calls, and in which session."""

    member: Member
    session_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Begins, renews and ends sessions.

    Attributes:
        access_lifetime: How long an access token is good.
        refresh_lifetime: How long a refresh token is; a session that is not renewed
            for that long has ended.
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

        Whether the member is not there or the password wrong looks alike and takes alike long.

        Raises:
            WrongPasswordError: If the two do not fit together.
            LimitedError: If there were too many attempts.
        """
        with self.outcomes.counting():
            await self.limits.log_in(caller.address, membername)
            while True:
                found = await self.checks.from_outside(caller, membername, password)
                if found is None:
                    raise WrongPasswordError
                if session := await self._begin(caller, found, normalized_password(password)):
                    _tell_session(session)
                    return LoggedIn(member=found.member, tokens=self._tokens(session))

    async def _begin(self, caller: Caller, found: Credentials, password: str) -> Session | None:
        """Store a session, or nothing if the password has changed since it was checked."""
        member, old = found.member, found.password_hash
        # Made at the cost that is set now; only here is the password known.
        outdated = self.passwords.is_outdated(old)
        new = await self.passwords.hash(password, caller.address) if outdated else old
        session = self._begun(caller, member)
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
            audit.tell(sessions_ended=ended)
        return session

    def _begun(self, caller: Caller, member: Member) -> Session:
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
        """Return when a session ends that began at *created_at*, however often it is renewed."""
        return created_at + self.session_lifetime

    def _expires_at(self, created_at: datetime, now: datetime) -> datetime:
        """Return when a session expires that is renewed *now*."""
        return min(now + self.refresh_lifetime, self.ends_at(created_at))

    @audited("RenewAccessToken")
    async def renew(self, caller: Caller, refresh_token: str) -> SessionTokens:
        """Trade a refresh token for new tokens.

        A token that was traded before ends its session, for one of the two who had it
        is a thief; but a moment later it is answered again, to a client whose answer was lost.

        Raises:
            RefreshTokenError: If the token is none, or its session has ended.
            LimitedError: If there were too many attempts.
        """
        await self.limits.renew(caller.address)
        claim = self.refresh.read(refresh_token)
        if claim is None:
            raise RefreshTokenError
        async with self.database.writing() as transaction:
            session = await store.sessions.by_id(transaction, claim.session_id, lock=True)
            if session:
                _tell_session(session)
            renewed = session and self._renewed(session, claim.generation)
            if renewed is None:
                await store.sessions.end(transaction, claim.session_id)
            else:
                await store.sessions.renew(transaction, renewed)
        if renewed is None:  # only now, after the commit: the session must stay ended
            raise RefreshTokenError
        return self._tokens(renewed)

    def _renewed(self, session: Session, generation: int) -> Session | None:
        """Return the session as it goes on, or None if it ends."""
        now = self.clock()
        # Also what an earlier setting allowed ends as it is set now.
        until = min(session.expires_at, self.ends_at(session.created_at))
        session = replace(session, expires_at=until)
        match renewal(session, generation, now=now):
            case Renewal.NEXT:
                expires_at = self._expires_at(session.created_at, now)
                return replace(
                    session, generation=generation + 1, renewed_at=now, expires_at=expires_at
                )
            case Renewal.SAME_AGAIN:
                audit.tell(reason="answered_again")
                return session
            case Renewal.STOLEN:
                audit.tell(reason="spent_refresh_token")
                return None
            case Renewal.EXPIRED:
                audit.tell(reason="expired")
                return None

    @audited("LogoutMember")
    async def log_out(self, caller: Caller, refresh_token: str) -> None:
        """End a session, if it is there.

        Raises:
            LimitedError: If there were too many attempts.
        """
        await self.limits.renew(caller.address)
        claim = self.refresh.read(refresh_token)
        ended = claim and await self._end(claim.session_id)
        if ended:
            _tell_session(ended)
        else:
            audit.tell(reason="no_session")

    async def _end(self, session_id: UUID) -> Session | None:
        """End a session; return it, or None if there is none."""
        async with self.database.writing() as transaction:
            session = await store.sessions.by_id(transaction, session_id, lock=True)
            await store.sessions.end(transaction, session_id)
        return session

    async def viewer(self, caller: Caller) -> Viewer:
        """Return who calls.

        Raises:
            AccessTokenError: If the caller shows no good access token.
        """
        now = self.clock()
        claim = self.access.read(caller.access_token, now=now)
        if claim is None:
            raise AccessTokenError
        async with self.database.reading() as transaction:
            member = await store.sessions.owner(transaction, claim.session_id)
        if member is None or member.id != claim.member_id:
            raise AccessTokenError
        audit.tell_actor(member, claim.session_id)
        return Viewer(member=member, session_id=claim.session_id)

    def _tokens(self, session: Session) -> SessionTokens:
        now = self.clock()
        # A session that is not renewed ends, and with it what it gave out.
        access_expires_at = min(now + self.access_lifetime, session.expires_at)
        access = AccessClaim(session.member_id, session.id)
        return SessionTokens(
            access_token=self.access.token(access, now=now, expires_at=access_expires_at),
            access_token_expires_at=access_expires_at,
            refresh_token=self.refresh.token(RefreshClaim(session.id, session.generation)),
            refresh_token_expires_at=session.expires_at,
        )


def _tell_session(session: Session) -> None:
    audit.tell(member_id=str(session.member_id), session_id=str(session.id))
