"""For any request the RPCs answer with a code that the proto file documents."""

import base64
import re
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias, cast

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode, aio
from hypothesis import HealthCheck, given, settings, strategies
from hypothesis.strategies import SearchStrategy

from member import store
from member.service import MemberService
from member.store.database import Database
from member.v1 import member_pb2 as pb
from services.member.tests.doubles import ALICE, ANYBODY
from services.member.tests.transports import grpc_channel

SERVICE = pb.DESCRIPTOR.services_by_name["MemberService"]

# The request is no valid message, or fields are invalid.
BAD = {StatusCode.INVALID_ARGUMENT}
GUARDED = {*BAD, StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED}
DOCUMENTED = {
    "CreateMember": {*BAD, StatusCode.ALREADY_EXISTS},
    "GetMember": {*GUARDED, StatusCode.NOT_FOUND},
    "UpdateMember": {*GUARDED, StatusCode.ALREADY_EXISTS},
    "ChangePassword": GUARDED,
    "DeleteMember": {*GUARDED, StatusCode.NOT_FOUND},
    "ListMembers": GUARDED,
    "LoginMember": {*BAD, StatusCode.UNAUTHENTICATED},
    "RenewAccessToken": {*BAD, StatusCode.UNAUTHENTICATED},
    "LogoutMember": BAD,
    "ListSessions": {*GUARDED, StatusCode.NOT_FOUND},
    "EndSession": {*GUARDED, StatusCode.NOT_FOUND},
    "EndAllSessions": {*GUARDED, StatusCode.NOT_FOUND},
    "VerifyEmail": {
        *BAD,
        StatusCode.NOT_FOUND,
        StatusCode.ALREADY_EXISTS,
        StatusCode.FAILED_PRECONDITION,
    },
    "ResendVerifyEmail": BAD,
    "RequestPasswordReset": BAD,
    "ResetPassword": {*BAD, StatusCode.NOT_FOUND, StatusCode.FAILED_PRECONDITION},
}
LEAKS = re.compile(
    r"SELECT |INSERT |UPDATE |DELETE FROM|sqlite|asyncpg|sqlalchemy|traceback", re.IGNORECASE
)

# Valid values, so that calls pass the first checks.
TOKENS = strategies.binary(min_size=48, max_size=48).map(
    lambda raw: base64.urlsafe_b64encode(raw).decode()
)
FITTING: dict[str, SearchStrategy[Any]] = {
    "membername": strategies.sampled_from([ALICE.membername, "bob"]),
    "full_name": strategies.just(ALICE.full_name),
    "email": strategies.sampled_from([ALICE.email, "bob@example.com"]),
    "password": strategies.just(ALICE.password),
    "current_password": strategies.just(ALICE.password),
    "new_password": strategies.just(ALICE.password),
    "locale": strategies.sampled_from(["", "zh-TW"]),
    "request_id": strategies.sampled_from(["", "once"]),
    "page_size": strategies.integers(0, 100),
    "page_token": strategies.just(""),
    "token": TOKENS,
    "refresh_token": TOKENS,
    "session_id": strategies.uuids().map(str),
    "keep_current": strategies.just(value=True),
}
ANY: dict[int, SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: strategies.text(max_size=200) | strategies.sampled_from("\0';"),
    FieldDescriptor.TYPE_BOOL: strategies.just(value=True),
    FieldDescriptor.TYPE_INT32: strategies.integers(-(2**31), 2**31 - 1),
}
EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Call: TypeAlias = tuple[str, bytes]


def calls_of(rpc: str) -> SearchStrategy[Call]:
    """Return a strategy for calls of *rpc*: its own messages, others, or random bytes."""
    kind = SERVICE.methods_by_name[rpc].input_type
    fields = {field.name: FITTING[field.name] | ANY[field.type] for field in kind.fields}
    messages = strategies.fixed_dictionaries({}, optional=fields) | strategies.fixed_dictionaries(
        fields
    )
    encoded = messages.map(lambda values: _bytes(GetMessageClass(kind)(**values)))
    requests = encoded | strategies.binary(max_size=100)
    return strategies.tuples(strategies.just(rpc), requests)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


# The caller must stay: no call deletes Alice or ends her session.
ENDS = {"DeleteMember", "EndAllSessions"}
CALLS = (
    strategies.sampled_from(sorted(DOCUMENTED))
    .flatmap(calls_of)
    .filter(lambda call: call[0] not in ENDS or ALICE.membername.encode() not in call[1])
)


@pytest.fixture
async def channel(service: MemberService) -> AsyncGenerator[aio.Channel]:
    async with grpc_channel(service) as opened:
        yield opened


@pytest.fixture(params=["nobody", "member", "admin"])
async def metadata(
    request: pytest.FixtureRequest, service: MemberService, db: Database
) -> aio.Metadata:
    """Metadata of each kind of caller: nobody, Alice, or Alice as an administrator."""
    await service.sign_up.create_member(ANYBODY, ALICE)
    begun = await service.sessions.log_in(ANYBODY, ALICE.membername, ALICE.password)
    async with db.writing() as session:
        role = "admin" if request.param == "admin" else "member"
        await store.members.set_role(session, ALICE.membername, role)
    proof = ("authorization", f"Bearer {begun.tokens.access_token}")
    return aio.Metadata() if request.param == "nobody" else aio.Metadata(proof)


def test_every_rpc_is_called() -> None:
    assert sorted(DOCUMENTED) == sorted(SERVICE.methods_by_name)


@pytest.mark.usefixtures("at_once")
@EXAMPLES
@given(call=CALLS)
async def test_any_call_is_answered_as_the_proto_file_says(
    channel: aio.Channel, metadata: aio.Metadata, call: Call
) -> None:
    rpc, request = call
    code, details = await _answer(channel, rpc, request, metadata)
    assert code in {StatusCode.OK, *DOCUMENTED[rpc]}
    assert not LEAKS.search(details)


async def _answer(
    channel: aio.Channel, rpc: str, request: bytes, metadata: aio.Metadata
) -> tuple[StatusCode, str]:
    raw = cast("Any", channel).unary_unary(f"/{SERVICE.full_name}/{rpc}")
    answered = raw(request, metadata=metadata)
    return await answered.code(), await answered.details() or ""
