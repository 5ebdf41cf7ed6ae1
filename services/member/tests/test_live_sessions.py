"""Members list and end their sessions; no session lives forever."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from grpc import StatusCode, aio

from member import store
from member.callers import Caller
from member.errors import (
    AccessTokenError,
    MemberUnknownError,
    PermissionDeniedError,
    RefreshTokenError,
    SessionUnknownError,
)
from member.service import MemberService
from member.service.housekeeping import Housekeeping
from member.sessions import MAX_SESSIONS, LiveSession
from member.store.database import Database
from member.store.tables import SessionRow
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.doubles import ALICE, ANYBODY, BOB, RULES, FakeClock, log_in_as
from services.member.tests.scenes import Scenes, Stage, alice_and_bob
from services.member.tests.transports import grpc_channel, http_site
from tests.support.web import http_client

MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)
PHONE = Caller(address="2001:db8::1", user_agent="phone/1")


@pytest.fixture(autouse=True)
async def members(scenes: Scenes) -> None:
    """Alice and Bob are members."""
    await scenes.play(alice_and_bob)


@pytest.fixture
async def alice(scenes: Scenes) -> Caller:
    return await scenes.play(_log_in)


async def _log_in(stage: Stage) -> Caller:
    return await log_in_as(stage.service, ALICE)


@pytest.fixture
async def admin(service: MemberService, db: Database) -> Caller:
    """Bob, as an administrator."""
    async with db.writing() as session:
        await store.members.set_role(session, "bob", "admin")
    return await log_in_as(service, BOB)


async def log_in(service: MemberService, caller: Caller) -> Caller:
    tokens = (await service.sessions.log_in(caller, "alice", ALICE.password)).tokens
    return replace(caller, access_token=tokens.access_token)


async def renewed_for(service: MemberService, clock: FakeClock, lifetime: timedelta) -> str:
    """Renew a session of Alice as long as possible; return its last refresh token."""
    tokens = (await service.sessions.log_in(ANYBODY, "alice", ALICE.password)).tokens
    end = clock.now + lifetime
    while clock.now + DAY < end:
        clock.turn(DAY - MOMENT)
        tokens = await service.sessions.renew(ANYBODY, tokens.refresh_token)
        assert tokens.refresh_token_expires_at <= end
        assert tokens.access_token_expires_at <= tokens.refresh_token_expires_at
    clock.now = end - MOMENT
    tokens = await service.sessions.renew(ANYBODY, tokens.refresh_token)
    assert tokens.access_token_expires_at == tokens.refresh_token_expires_at == end
    return tokens.refresh_token


def ids(live: Sequence[LiveSession]) -> list[UUID]:
    return [one.session.id for one in live]


async def is_over(service: MemberService, caller: Caller) -> bool:
    try:
        await service.sessions.viewer(caller)
    except AccessTokenError:
        return True
    return False


async def test_a_session_that_is_always_renewed_ends_anyway(
    service: MemberService, clock: FakeClock
) -> None:
    token = await renewed_for(service, clock, RULES.session_lifetime)
    clock.turn(MOMENT)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, token)


async def test_a_shorter_lifetime_holds_for_sessions_that_live(
    service: MemberService, alice: Caller, clock: FakeClock
) -> None:
    tokens = (await service.sessions.log_in(ANYBODY, "alice", ALICE.password)).tokens
    brief = replace(service.sessions, session_lifetime=timedelta(hours=1))
    shown_by = replace(service.live_sessions, sessions=brief)
    clock.turn(timedelta(hours=1) - MOMENT)
    renewed = await brief.renew(ANYBODY, tokens.refresh_token)
    assert renewed.refresh_token_expires_at == clock.now + MOMENT
    clock.turn(MOMENT)
    with pytest.raises(RefreshTokenError):
        await brief.renew(ANYBODY, renewed.refresh_token)
    now = await service.sessions.log_in(ANYBODY, "alice", ALICE.password)
    caller = replace(ANYBODY, access_token=now.tokens.access_token)
    assert [one.is_current for one in await shown_by.list_all(caller, "alice")] == [True]


async def test_a_member_sees_each_session_and_which_one_it_is_in(
    service: MemberService, alice: Caller, clock: FakeClock
) -> None:
    began = clock.now
    clock.turn(MOMENT)
    await log_in(service, PHONE)
    phone, here = await service.live_sessions.list_all(alice, "alice")
    assert (phone.session.address, phone.session.user_agent) == (PHONE.address, "phone/1")
    assert (phone.is_current, here.is_current) == (False, True)
    assert (here.session.created_at, here.session.renewed_at) == (began, began)
    assert here.session.expires_at == began + RULES.refresh_lifetime
    assert here.ends_at == began + RULES.session_lifetime


async def test_a_renewed_session_says_when(service: MemberService, clock: FakeClock) -> None:
    tokens = (await service.sessions.log_in(PHONE, "alice", ALICE.password)).tokens
    clock.turn(timedelta(hours=1))
    renewed = await service.sessions.renew(ANYBODY, tokens.refresh_token)
    caller = replace(ANYBODY, access_token=renewed.access_token)
    (live,) = await service.live_sessions.list_all(caller, "alice")
    assert live.session.renewed_at == clock.now
    assert live.session.address == PHONE.address


async def test_a_session_that_has_expired_is_not_shown(
    service: MemberService, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(RULES.refresh_lifetime)
    now = await log_in_as(service, ALICE)
    assert [one.is_current for one in await service.live_sessions.list_all(now, "alice")] == [True]


async def test_an_ended_session_stops_at_once_and_no_other(
    service: MemberService, alice: Caller
) -> None:
    phone = await log_in(service, PHONE)
    found = await service.live_sessions.list_all(phone, "alice")
    (other,) = (one.session.id for one in found if not one.is_current)
    await service.live_sessions.end(phone, "alice", str(other))
    assert await is_over(service, alice)
    assert not await is_over(service, phone)


async def test_a_member_can_end_the_session_it_is_in(service: MemberService, alice: Caller) -> None:
    (here,) = ids(await service.live_sessions.list_all(alice, "alice"))
    await service.live_sessions.end(alice, "alice", str(here))
    assert await is_over(service, alice)


async def test_all_sessions_end_with_this_one(service: MemberService, alice: Caller) -> None:
    phone, bob = await log_in(service, PHONE), await log_in_as(service, BOB)
    await service.live_sessions.end_all(alice, "alice")
    assert await is_over(service, alice)
    assert await is_over(service, phone)
    assert not await is_over(service, bob)


async def test_all_sessions_but_this_one_end(service: MemberService, alice: Caller) -> None:
    phone = await log_in(service, PHONE)
    await service.live_sessions.end_all(alice, "alice", keep_current=True)
    assert not await is_over(service, alice)
    assert await is_over(service, phone)


@pytest.mark.parametrize("nonsense", ["", "x", "é", "\x00", "'--", str(UUID(int=0)), "1" * 10_000])
async def test_an_unknown_session_is_reported(
    service: MemberService, alice: Caller, nonsense: str
) -> None:
    with pytest.raises(SessionUnknownError, match="there is no such session"):
        await service.live_sessions.end(alice, "alice", nonsense)


async def test_nobody_ends_the_session_of_somebody_else_by_its_id(
    service: MemberService, alice: Caller
) -> None:
    bob = await log_in_as(service, BOB)
    (of_bob,) = ids(await service.live_sessions.list_all(bob, "bob"))
    with pytest.raises(SessionUnknownError):
        await service.live_sessions.end(alice, "alice", str(of_bob))
    assert not await is_over(service, bob)


@pytest.mark.parametrize("about", ["bob", "nobody", "ALICE", ""])
async def test_a_member_cannot_use_the_sessions_of_others(
    service: MemberService, alice: Caller, about: str
) -> None:
    live = service.live_sessions
    with pytest.raises(PermissionDeniedError):
        await live.list_all(alice, about)
    with pytest.raises(PermissionDeniedError):
        await live.end(alice, about, str(uuid4()))
    with pytest.raises(PermissionDeniedError):
        await live.end_all(alice, about)


async def test_an_administrator_sees_and_ends_the_sessions_of_any_member(
    service: MemberService, alice: Caller, admin: Caller
) -> None:
    phone = await log_in(service, PHONE)
    found = await service.live_sessions.list_all(admin, "alice")
    assert [one.is_current for one in found] == [False, False]
    (of_phone,) = (one.session.id for one in found if one.session.address == PHONE.address)
    await service.live_sessions.end(admin, "alice", str(of_phone))
    assert await is_over(service, phone)
    await service.live_sessions.end_all(admin, "alice", keep_current=True)
    assert await is_over(service, alice)
    assert not await is_over(service, admin)


async def test_an_administrator_learns_that_a_member_does_not_exist(
    service: MemberService, admin: Caller
) -> None:
    with pytest.raises(MemberUnknownError):
        await service.live_sessions.list_all(admin, "nobody")


async def test_a_member_has_a_hundred_sessions_and_the_one_renewed_first_ends(
    service: MemberService, db: Database, clock: FakeClock
) -> None:
    first, second = await log_in(service, PHONE), await log_in(service, PHONE)
    await fill(db, clock, MAX_SESSIONS - 2)
    assert not await is_over(service, first)
    clock.turn(MOMENT)
    await log_in(service, ANYBODY)
    newest = await log_in(service, ANYBODY)
    assert len(await service.live_sessions.list_all(newest, "alice")) == MAX_SESSIONS
    assert await is_over(service, first)
    assert await is_over(service, second)
    assert not await is_over(service, newest)


async def fill(db: Database, clock: FakeClock, number: int) -> None:
    """Store more sessions of Alice, without the log-ins."""
    async with db.writing() as session:
        alice = await store.members.by_name(session, "alice")
        assert alice is not None
        for _ in range(number):
            clock.turn(MOMENT)
            session.add(
                SessionRow(
                    id=uuid4(),
                    member_id=alice.id,
                    generation=0,
                    created_at=clock.now,
                    renewed_at=clock.now,
                    expires_at=clock.now + DAY,
                    address=PHONE.address,
                    user_agent=PHONE.user_agent,
                )
            )


async def test_a_session_that_has_ended_for_good_is_purged(
    service: MemberService, db: Database, clock: FakeClock
) -> None:
    await renewed_for(service, clock, RULES.session_lifetime)
    clock.turn(MOMENT)
    alice = await service.members.get(await log_in_as(service, ALICE), "alice")
    await Housekeeping(database=db, unverified_lifetime=timedelta(days=365), clock=clock).purge()
    async with db.reading() as session:
        assert len(await store.sessions.of_member(session, alice.id)) == 1


# The tests above cover the differences between databases.
one_database = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)


@pytest.fixture
async def stub(service: MemberService) -> AsyncGenerator[MemberServiceStub]:
    async with grpc_channel(service) as channel:
        yield MemberServiceStub(channel)


@pytest.fixture
async def client(service: MemberService) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_site(service) as site, http_client(base_url=site) as opened:
        yield opened


def proof(caller: Caller) -> aio.Metadata:
    return aio.Metadata(("authorization", f"Bearer {caller.access_token}"))


@one_database
async def test_the_rpcs_show_and_end_sessions(
    service: MemberService, stub: MemberServiceStub, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(MOMENT)
    request = pb.LoginMemberRequest(membername="alice", password=ALICE.password)
    token = (await stub.LoginMember(request)).session.access_token
    here = proof(replace(ANYBODY, access_token=token))
    sessions = pb.ListSessionsRequest(membername="alice")
    current, other = (await stub.ListSessions(sessions, metadata=here)).sessions
    assert (current.current, other.current) == (True, False)
    assert (current.address, other.address) == ("127.0.0.1", ANYBODY.address)
    assert current.user_agent.startswith("grpc-python-asyncio/")
    assert current.ends_at.ToDatetime() - current.created_at.ToDatetime() == RULES.session_lifetime
    ending = pb.EndSessionRequest(membername="alice", session_id=other.session_id)
    await stub.EndSession(ending, metadata=here)
    assert await is_over(service, alice)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.EndSession(ending, metadata=here)
    assert refused.value.code() is StatusCode.NOT_FOUND
    keeping = pb.EndAllSessionsRequest(membername="alice", keep_current=True)
    await stub.EndAllSessions(keeping, metadata=here)
    await stub.EndAllSessions(pb.EndAllSessionsRequest(membername="alice"), metadata=here)
    with pytest.raises(aio.AioRpcError) as over:
        await stub.ListSessions(sessions, metadata=here)
    assert over.value.code() is StatusCode.UNAUTHENTICATED


@one_database
async def test_rest_shows_and_ends_sessions(
    service: MemberService, client: httpx.AsyncClient, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(MOMENT)
    asked = {"membername": "alice", "password": ALICE.password}
    client.headers["User-Agent"] = "browser/1"
    begun = (await client.post("/v1/members:login", json=asked)).json()
    client.headers["Authorization"] = f"Bearer {begun['session']['access_token']}"
    path = "/v1/members/alice/sessions"
    current, other = (await client.get(path)).json()["sessions"]
    assert (current["current"], other["current"]) == (True, False)
    assert (current["address"], current["user_agent"]) == ("127.0.0.1", "browser/1")
    assert (await client.delete(f"{path}/{other['session_id']}")).status_code == 204
    assert await is_over(service, alice)
    assert (await client.delete(f"{path}/{other['session_id']}")).status_code == 404
    assert (await client.delete(path, params={"keep_current": "true"})).status_code == 204
    assert (await client.delete(path, params={"keep_current": "perhaps"})).status_code == 422
    assert (await client.get(path)).status_code == 200
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 401
