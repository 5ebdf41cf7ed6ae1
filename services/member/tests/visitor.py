"""A caller that makes all calls of a member, right and wrong, and remembers all secrets in them."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult
from grpc import aio

from member.demo.smtp import SmtpSink
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.browser import browse
from services.member.tests.doubles import link_of, text_of, token_of
from services.member.tests.programs import ALICE

WRONG_PASSWORD = "a wrong pass/word+2"
WRONG_TOKEN = "wRoNg" * 13
NEW_PASSWORD = "a new pass/word+3"
RESET_PASSWORD = "another pass/word+4"


class AskingSink(SmtpSink):
    """A mail server that requires a password.

    Attributes:
        log_ins: Number of log-ins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_ins = 0

    def _connection(self) -> SMTP:
        return SMTP(
            self,
            hostname="sink.example.com",
            authenticator=self._log_in,
            auth_require_tls=False,
        )

    def _log_in(self, *_credentials: object) -> AuthResult:
        self.log_ins += 1
        return AuthResult(success=True)


class Visitor:
    """Calls the program, whatever it answers.

    Attributes:
        secrets: Texts that no log may hold.
    """

    def __init__(self, stub: MemberServiceStub) -> None:
        self._stub = stub
        self._session = pb.Session()
        self.secrets = [ALICE.password, WRONG_PASSWORD, WRONG_TOKEN, NEW_PASSWORD, RESET_PASSWORD]

    async def sign_up(self) -> None:
        """Sign up, twice."""
        await self._stub.CreateMember(ALICE)
        await ignore_refusal(self._stub.CreateMember(ALICE))

    async def open_link(self, mail: EmailMessage) -> None:
        """Open and use wrong links, then the one in *mail*."""
        link, token = link_of(mail), token_of(mail)
        near = token[:-8] + "AAAAAAAA"
        self.secrets += [token, near]
        for guess in (WRONG_TOKEN, near, "", "%25s%0A%7B%7D", token):
            await browse(link.replace(token, guess))
            await browse(link.replace(token, guess), "POST")
        await ignore_refusal(self._stub.VerifyEmail(pb.VerifyEmailRequest(token=WRONG_TOKEN)))
        await ignore_refusal(self._stub.VerifyEmail(pb.VerifyEmailRequest(token=token)))

    async def log_in(self) -> None:
        """Log in and renew the session, after wrong tries."""
        await ignore_refusal(self._log_in(WRONG_PASSWORD))
        first = (await self._log_in(ALICE.password)).session
        await ignore_refusal(self._renew(WRONG_TOKEN))
        self._session = (await self._renew(first.refresh_token)).session
        for session in (first, self._session):
            self.secrets += [session.access_token, session.refresh_token]

    async def use_session(self) -> None:
        """Call with a valid and with an invalid token; change the password."""
        await self._get(self._session.access_token)
        await ignore_refusal(self._get(WRONG_TOKEN))
        await ignore_refusal(self._change_password(WRONG_PASSWORD))
        await self._change_password(ALICE.password)

    async def reset_password(self, mails: asyncio.Queue[EmailMessage]) -> None:
        """Request a password reset, and use the link in the mail, after wrong tries."""
        request = pb.RequestPasswordResetRequest(email=ALICE.email)
        await self._stub.RequestPasswordReset(request)
        mail = await mails.get()
        while "reset-password" not in text_of(mail):  # a notice comes as well
            mail = await mails.get()
        token = token_of(mail)
        self.secrets += [token]
        await browse(link_of(mail))
        await browse(link_of(mail), "POST")
        for tried in (WRONG_TOKEN, token, token):
            reset = pb.ResetPasswordRequest(token=tried, new_password=RESET_PASSWORD)
            await ignore_refusal(self._stub.ResetPassword(reset))

    async def resend(self) -> None:
        """Request another mail."""
        await self._stub.ResendVerifyEmail(pb.ResendVerifyEmailRequest(email=ALICE.email))

    async def call_in_vain(self, mail: EmailMessage) -> None:
        """Call a program that cannot do its work."""
        await ignore_refusal(self._stub.CreateMember(ALICE))
        await ignore_refusal(self._log_in(NEW_PASSWORD))
        await ignore_refusal(self._renew(self._session.refresh_token))
        await ignore_refusal(self._get(self._session.access_token))
        await browse(link_of(mail))
        await browse(link_of(mail), "POST")

    async def _log_in(self, password: str) -> pb.LoginMemberResponse:
        request = pb.LoginMemberRequest(membername="alice", password=password)
        return await self._stub.LoginMember(request)

    async def _renew(self, token: str) -> pb.RenewAccessTokenResponse:
        request = pb.RenewAccessTokenRequest(refresh_token=token)
        return await self._stub.RenewAccessToken(request)

    async def _get(self, token: str) -> pb.GetMemberResponse:
        request = pb.GetMemberRequest(membername="alice")
        return await self._stub.GetMember(request, metadata=bearer(token))

    async def _change_password(self, current: str) -> pb.ChangePasswordResponse:
        request = pb.ChangePasswordRequest(
            membername="alice", current_password=current, new_password=NEW_PASSWORD
        )
        metadata = bearer(self._session.access_token)
        return await self._stub.ChangePassword(request, metadata=metadata)


async def ignore_refusal(call: Awaitable[object]) -> None:
    """Wait for a call, and ignore a refusal."""
    with suppress(aio.AioRpcError):
        await call


def bearer(token: str) -> aio.Metadata:
    """Return metadata with an access token."""
    return aio.Metadata(("authorization", f"Bearer {token}"))
