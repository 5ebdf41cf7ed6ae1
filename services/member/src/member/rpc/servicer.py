"""Answer the RPCs of ``member.v1.MemberService``, by the names in the proto file."""
# ruff: noqa: N802

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from member.callers import Caller
from member.members import Changes, Member, SignUp
from member.proxies import Networks, Proxies
from member.rpc.callers import Context, caller_of
from member.service import MemberService
from member.sessions import LiveSession, SessionTokens
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceServicer


class MemberServicer(MemberServiceServicer):
    """FairSlots messages into calls of the service, and its results into messages."""

    def __init__(self, service: MemberService, trusted_proxies: Networks) -> None:
        """Call *service*; behind *trusted_proxies*, find the caller in the metadata."""
        self._service = service
        self._proxies = Proxies(trusted_proxies)

    async def CreateMember(
        self, request: pb.CreateMemberRequest, context: Context
    ) -> pb.CreateMemberResponse:
        """Create a member."""
        sign_up = SignUp(
            membername=request.membername,
            full_name=request.full_name,
            email=request.email,
            password=request.password,
            locale=request.locale,
        )
        member = await self._service.sign_up.create_member(
            self._caller(context), sign_up, request.request_id
        )
        return pb.CreateMemberResponse(member=member_message(member))

    async def GetMember(
        self, request: pb.GetMemberRequest, context: Context
    ) -> pb.GetMemberResponse:
        """Return a member."""
        member = await self._service.members.get(self._caller(context), request.membername)
        return pb.GetMemberResponse(member=member_message(member))

    async def UpdateMember(
        self, request: pb.UpdateMemberRequest, context: Context
    ) -> pb.UpdateMemberResponse:
        """Change the fields that are set."""
        changes = Changes(
            full_name=request.full_name if request.HasField("full_name") else None,
            email=request.email if request.HasField("email") else None,
            locale=request.locale if request.HasField("locale") else None,
            current_password=request.current_password,
        )
        member = await self._service.members.update(
            self._caller(context), request.membername, changes
        )
        return pb.UpdateMemberResponse(member=member_message(member))

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, context: Context
    ) -> pb.ChangePasswordResponse:
        """Set a new password."""
        await self._service.members.change_password(
            self._caller(context),
            request.membername,
            current=request.current_password,
            new=request.new_password,
        )
        return pb.ChangePasswordResponse()

    async def DeleteMember(
        self, request: pb.DeleteMemberRequest, context: Context
    ) -> pb.DeleteMemberResponse:
        """Remove a member."""
        await self._service.members.delete(self._caller(context), request.membername)
        return pb.DeleteMemberResponse()

    async def ListMembers(
        self, request: pb.ListMembersRequest, context: Context
    ) -> pb.ListMembersResponse:
        """Return a page of members, by name."""
        page = await self._service.members.list_page(
            self._caller(context), size=request.page_size, token=request.page_token
        )
        return pb.ListMembersResponse(
            members=[member_message(member) for member in page.members],
            next_page_token=page.next_token,
        )

    async def LoginMember(
        self, request: pb.LoginMemberRequest, context: Context
    ) -> pb.LoginMemberResponse:
        """Begin a session."""
        logged_in = await self._service.sessions.log_in(
            self._caller(context), request.membername, request.password
        )
        return pb.LoginMemberResponse(
            session=session_message(logged_in.tokens), member=member_message(logged_in.member)
        )

    async def RenewAccessToken(
        self, request: pb.RenewAccessTokenRequest, context: Context
    ) -> pb.RenewAccessTokenResponse:
        """Exchange a refresh token for new tokens."""
        tokens = await self._service.sessions.renew(self._caller(context), request.refresh_token)
        return pb.RenewAccessTokenResponse(session=session_message(tokens))

    async def LogoutMember(
        self, request: pb.LogoutMemberRequest, context: Context
    ) -> pb.LogoutMemberResponse:
        """End a session."""
        await self._service.sessions.log_out(self._caller(context), request.refresh_token)
        return pb.LogoutMemberResponse()

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        """Return the sessions of a member."""
        live = await self._service.live_sessions.list_all(self._caller(context), request.membername)
        return pb.ListSessionsResponse(sessions=map(live_session_message, live))

    async def EndSession(
        self, request: pb.EndSessionRequest, context: Context
    ) -> pb.EndSessionResponse:
        """End a session of a member."""
        await self._service.live_sessions.end(
            self._caller(context), request.membername, request.session_id
        )
        return pb.EndSessionResponse()

    async def EndAllSessions(
        self, request: pb.EndAllSessionsRequest, context: Context
    ) -> pb.EndAllSessionsResponse:
        """End all sessions of a member."""
        await self._service.live_sessions.end_all(
            self._caller(context), request.membername, keep_current=request.keep_current
        )
        return pb.EndAllSessionsResponse()

    async def VerifyEmail(
        self, request: pb.VerifyEmailRequest, context: Context
    ) -> pb.VerifyEmailResponse:
        """Verify an address."""
        verified = await self._service.verifications.verify(self._caller(context), request.token)
        return pb.VerifyEmailResponse(
            member=member_message(verified.member), already_verified=verified.already
        )

    async def ResendVerifyEmail(
        self, request: pb.ResendVerifyEmailRequest, context: Context
    ) -> pb.ResendVerifyEmailResponse:
        """Queue a new verification mail."""
        await self._service.verifications.resend(self._caller(context), request.email)
        return pb.ResendVerifyEmailResponse()

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, context: Context
    ) -> pb.RequestPasswordResetResponse:
        """Queue a mail with a link that sets a new password."""
        await self._service.password_resets.request(self._caller(context), request.email)
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(
        self, request: pb.ResetPasswordRequest, context: Context
    ) -> pb.ResetPasswordResponse:
        """Set a new password with the token of that link."""
        await self._service.password_resets.reset(
            self._caller(context), request.token, request.new_password
        )
        return pb.ResetPasswordResponse()

    def _caller(self, context: Context) -> Caller:
        return caller_of(context, self._proxies)


def member_message(member: Member) -> pb.Member:
    """Return *member* as a message."""
    return pb.Member(
        membername=member.membername,
        full_name=member.full_name,
        email=member.email,
        email_verified=member.email_verified_at is not None,
        created_at=_timestamp(member.created_at),
        locale=member.locale,
        role=pb.ROLE_ADMIN if member.is_admin else pb.ROLE_MEMBER,
        pending_email=member.pending_email or "",
    )


def session_message(tokens: SessionTokens) -> pb.Session:
    """Return the *tokens* of a session as a message."""
    return pb.Session(
        access_token=tokens.access_token,
        access_token_expires_at=_timestamp(tokens.access_token_expires_at),
        refresh_token=tokens.refresh_token,
        refresh_token_expires_at=_timestamp(tokens.refresh_token_expires_at),
    )


def live_session_message(live: LiveSession) -> pb.LiveSession:
    """Return a session as a message."""
    return pb.LiveSession(
        session_id=str(live.session.id),
        created_at=_timestamp(live.session.created_at),
        renewed_at=_timestamp(live.session.renewed_at),
        expires_at=_timestamp(live.session.expires_at),
        ends_at=_timestamp(live.ends_at),
        address=live.session.address,
        user_agent=live.session.user_agent,
        current=live.is_current,
    )


def _timestamp(instant: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(instant)
    return timestamp
