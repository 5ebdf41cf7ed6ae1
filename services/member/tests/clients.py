"""Calls of the service."""

from grpc import aio

from member.program import Addresses
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub


async def sign_up(addresses: Addresses, name: str) -> None:
    """Sign up the member *name* over gRPC."""
    request = pb.CreateMemberRequest(
        membername=name,
        full_name=name.title(),
        email=f"{name}@example.com",
        password="curiouser and curiouser",
    )
    async with aio.insecure_channel(addresses.grpc) as channel:
        await MemberServiceStub(channel).CreateMember(request)
