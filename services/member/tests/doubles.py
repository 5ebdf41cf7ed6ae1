"""Test doubles for the surroundings of the service, and values to test with."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Unpack

from member.callers import Caller
from member.limits import Limits, Rates
from member.limits.memory import MemoryLimiter
from member.mailer import Mailer
from member.members import SignUp
from member.service import MemberService, Rules
from member.worker.distributor import DistributeOptions
from member.worker.tasks import (
    PayloadSendNotice,
    PayloadSendPasswordReset,
    PayloadSendVerifyEmail,
)

_LINK = re.compile(r"(https?://\S+)/(?:verify-email|reset-password)\?token=(\S+)")

ALICE = SignUp(
    membername="alice",
    full_name="Alice Liddell",
    email="alice@example.com",
    password="curiouser and curiouser",
)
RULES = Rules(
    token_key=b"key",
    verify_email_delay=timedelta(seconds=10),
    max_wrong=3,
    access_lifetime=timedelta(minutes=15),
    refresh_lifetime=timedelta(hours=24),
    session_lifetime=timedelta(days=30),
)
NO_RATES = Rates(create_member=None, log_in=None, verify_email=None, resend=None, guess=None)
UNLIMITED = Limits(MemoryLimiter(), NO_RATES)
ANYBODY = Caller(address="203.0.113.7")
BOB = replace(ALICE, membername="bob", email="bob@example.com")


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, by: timedelta) -> None:
        self.now += by


class TaskList:
    """Stores the tasks, or raises *error* if a test sets it; waits while its gate is closed."""

    def __init__(self) -> None:
        self.tasks: list[tuple[PayloadSendVerifyEmail, DistributeOptions]] = []
        self.resets: list[PayloadSendPasswordReset] = []
        self.notices: list[PayloadSendNotice] = []
        self.error: Exception | None = None
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.canceled = asyncio.Event()

    async def distribute_task_send_verify_email(
        self, payload: PayloadSendVerifyEmail, **options: Unpack[DistributeOptions]
    ) -> None:
        self.reached.set()
        await self._pass_gate()
        if self.error:
            raise self.error
        self.tasks.append((payload, options))

    async def distribute_task_send_password_reset(
        self, payload: PayloadSendPasswordReset, **_options: Unpack[DistributeOptions]
    ) -> None:
        if self.error:
            raise self.error
        self.resets.append(payload)

    async def distribute_task_send_notice(
        self, payload: PayloadSendNotice, **_options: Unpack[DistributeOptions]
    ) -> None:
        if self.error:
            raise self.error
        self.notices.append(payload)

    async def _pass_gate(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.canceled.set()
            raise


class MailFolder:
    """Stores the mails, or raises *error* if a test sets it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.error: Exception | None = None

    async def send(self, mail: EmailMessage) -> None:
        if self.error:
            raise self.error
        self.mails.append(mail)


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """Return the body of *mail* as ``plain`` text or as ``html``."""
    body = mail.get_body((kind,))
    assert body is not None
    return body.get_content()


def link_of(mail: EmailMessage) -> str:
    """Return the link in *mail*."""
    found = _LINK.search(text_of(mail))
    assert found is not None
    return found[0]


def token_of(mail: EmailMessage) -> str:
    """Return the token in the link of *mail*."""
    return link_of(mail).partition("token=")[2]


async def log_in_as(service: MemberService, sign_up: SignUp) -> Caller:
    """Log in the member of *sign_up*; return a caller in the session."""
    logged_in = await service.sessions.log_in(ANYBODY, sign_up.membername, sign_up.password)
    return replace(ANYBODY, access_token=logged_in.tokens.access_token)


async def sign_up_verified(
    service: MemberService, mailer: Mailer, outbox: MailFolder, sign_up: SignUp
) -> Caller:
    """Sign up and verify the address; return a caller in a session of the member."""
    await service.sign_up.create_member(ANYBODY, sign_up)
    await mailer.send_verify_email(sign_up.membername)
    await service.verifications.verify(ANYBODY, token_of(outbox.mails[-1]))
    return await log_in_as(service, sign_up)
