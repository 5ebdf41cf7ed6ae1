"""The service itself, the same for gRPC, REST and pages. It knows no transport."""

from dataclasses import dataclass, field
from datetime import timedelta

from member import store
from member.clock import Clock, utc_now
from member.limits import Limits
from member.metrics import Metrics
from member.passwords import Passwords
from member.service.links import LinkChecks
from member.service.live_sessions import LiveSessions
from member.service.members import Members
from member.service.new_passwords import NewPasswords
from member.service.notices import Notices
from member.service.password_checks import PasswordChecks
from member.service.password_resets import PasswordResets
from member.service.sessions import Sessions
from member.service.sign_up import SignUps
from member.service.verifications import Verifications
from member.service.verify_email_tasks import VerifyEmailTasks
from member.store.database import Database
from member.tokens import AccessMint, RefreshMint
from member.worker.distributor import TaskDistributor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules for tokens and mails, from the settings.

    Attributes:
        token_key: Key of all tokens.
        verify_email_delay: Wait before a verification mail.
        max_wrong: Number of wrong tokens that locks a link.
        access_lifetime: How long an access token is valid.
        refresh_lifetime: How long a refresh token is valid, and a session without renewal.
        session_lifetime: How long a session lives, however often it is renewed.
    """

    token_key: bytes = field(repr=False)
    verify_email_delay: timedelta
    max_wrong: int
    access_lifetime: timedelta
    refresh_lifetime: timedelta
    session_lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberService:
    """Everything the service does; gRPC, REST and pages call it."""

    sign_up: SignUps
    members: Members
    sessions: Sessions
    live_sessions: LiveSessions
    verifications: Verifications
    password_resets: PasswordResets


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The dependencies of the service."""

    database: Database
    passwords: Passwords
    distributor: TaskDistributor
    limits: Limits
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = utc_now


def member_service(needs: Dependencies, rules: Rules) -> MemberService:
    """Create the service and connect its parts."""
    tasks = VerifyEmailTasks(distributor=needs.distributor, delay=rules.verify_email_delay)
    notices = Notices(distributor=needs.distributor, clock=needs.clock)
    new_passwords = NewPasswords(notices=notices, clock=needs.clock)
    checks = PasswordChecks(database=needs.database, passwords=needs.passwords, limits=needs.limits)
    sessions = _sessions(needs, rules, checks)
    members = Members(
        database=needs.database,
        sessions=sessions,
        passwords=needs.passwords,
        checks=checks,
        tasks=tasks,
        notices=notices,
        new_passwords=new_passwords,
        limits=needs.limits,
        clock=needs.clock,
    )
    return MemberService(
        sign_up=SignUps(
            database=needs.database,
            passwords=needs.passwords,
            checks=checks,
            tasks=tasks,
            limits=needs.limits,
            outcomes=needs.metrics.sign_ups,
            clock=needs.clock,
        ),
        members=members,
        sessions=sessions,
        live_sessions=LiveSessions(
            database=needs.database, sessions=sessions, members=members, clock=needs.clock
        ),
        verifications=Verifications(
            database=needs.database,
            links=LinkChecks(
                stored=store.verifications, max_wrong=rules.max_wrong, clock=needs.clock
            ),
            tasks=tasks,
            limits=needs.limits,
            outcomes=needs.metrics.verifications,
            clock=needs.clock,
        ),
        password_resets=PasswordResets(
            database=needs.database,
            links=LinkChecks(
                stored=store.password_resets, max_wrong=rules.max_wrong, clock=needs.clock
            ),
            passwords=needs.passwords,
            new_passwords=new_passwords,
            distributor=needs.distributor,
            limits=needs.limits,
            outcomes=needs.metrics.password_resets,
            clock=needs.clock,
        ),
    )


def _sessions(needs: Dependencies, rules: Rules, checks: PasswordChecks) -> Sessions:
    return Sessions(
        database=needs.database,
        passwords=needs.passwords,
        checks=checks,
        access=AccessMint(rules.token_key),
        refresh=RefreshMint(rules.token_key),
        limits=needs.limits,
        access_lifetime=rules.access_lifetime,
        refresh_lifetime=rules.refresh_lifetime,
        session_lifetime=rules.session_lifetime,
        outcomes=needs.metrics.log_ins,
        clock=needs.clock,
    )
