"""Answer the RPCs of ``member.v1.MemberService``."""

from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from member.members import Member, SignUp
from member.service import MemberService
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceServicer

Context: TypeAlias = aio.ServicerContext[Any, Any]


class MemberServicer(MemberServiceServicer):
    """Turns messages into calls of the service, and what it returns into messages."""

    def __init__(self, service: MemberService) -> None:
        """Answer with what *service* says."""
        self._service = service

    async def CreateMember(  # noqa: N802 - the name in the proto file
        self, request: pb.CreateMemberRequest, context: Context
    ) -> pb.CreateMemberResponse:
        """Create a member."""
        member = await self._service.create_member(
            SignUp(
                membername=request.membername,
                full_name=request.full_name,
                email=request.email,
                password=request.password,
                locale=request.locale,
            )
        )
        return pb.CreateMemberResponse(member=member_message(member))

    async def VerifyEmail(  # noqa: N802 - the name in the proto file
        self, request: pb.VerifyEmailRequest, context: Context
    ) -> pb.VerifyEmailResponse:
        """Verify an address."""
        verified = await self._service.verify_email(request.token)
        return pb.VerifyEmailResponse(
            member=member_message(verified.member), already_verified=verified.already
        )


def member_message(member: Member) -> pb.Member:
    """Return *member* as a message."""
    created_at = Timestamp()
    created_at.FromDatetime(member.created_at)
    return pb.Member(
        membername=member.membername,
        full_name=member.full_name,
        email=member.email,
        email_verified=member.email_verified_at is not None,
        created_at=created_at,
        locale=member.locale,
    )
