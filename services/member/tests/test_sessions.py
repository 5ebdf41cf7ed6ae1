"""Sessions: log in, renew, log out, and identify the caller."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from member import store
from member.callers import Caller
from member.errors import AccessTokenError, RefreshTokenError, WrongPasswordError
from member.service import MemberService
from member.service.sessions import LoggedIn, Sessions
from member.sessions import RENEW_AGAIN, Renewal, Session, SessionTokens, renewal
from member.store.database import Database
from member.store.tables import SessionRow
from member.tokens import RefreshMint
from services.member.tests.doubles import ALICE, ANYBODY, RULES, FakeClock
from services.member.tests.scenes import Scenes, Stage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
SESSION = Session(
    id=UUID(int=1),
    member_id=UUID(int=2),
    generation=5,
    created_at=NOW,
    renewed_at=NOW,
    expires_at=NOW + timedelta(hours=1),
)


@pytest.fixture
async def alice(scenes: Scenes) -> LoggedIn:
    """A session of Alice."""
    return await scenes.play(_alice)


async def _alice(stage: Stage) -> LoggedIn:
    await stage.service.sign_up.create_member(ANYBODY, ALICE)
    return await log_in(stage.service.sessions)


async def log_in(sessions: Sessions) -> LoggedIn:
    return await sessions.log_in(ANYBODY, "alice", ALICE.password)


def showing(access_token: str) -> Caller:
    return replace(ANYBODY, access_token=access_token)


async def session_of(db: Database, tokens: SessionTokens) -> Session | None:
    claim = RefreshMint(RULES.token_key).read(tokens.refresh_token)
    assert claim is not None
    async with db.reading() as transaction:
        return await store.sessions.by_id(transaction, claim.session_id)


async def is_over(service: MemberService, tokens: SessionTokens) -> bool:
    try:
        await service.sessions.viewer(showing(tokens.access_token))
    except AccessTokenError:
        return True
    return False


async def renew_after(
    wait: timedelta, service: MemberService, tokens: SessionTokens, clock: FakeClock
) -> SessionTokens:
    clock.turn(wait)
    return await service.sessions.renew(ANYBODY, tokens.refresh_token)


@pytest.mark.parametrize(
    ("generation", "after", "worth"),
    [
        (5, timedelta(), Renewal.NEXT),
        (5, timedelta(hours=1) - MOMENT, Renewal.NEXT),
        (5, timedelta(hours=1), Renewal.EXPIRED),
        (4, timedelta(), Renewal.SAME_AGAIN),
        (4, RENEW_AGAIN, Renewal.SAME_AGAIN),
        (4, RENEW_AGAIN + MOMENT, Renewal.STOLEN),
        (4, timedelta(hours=1), Renewal.EXPIRED),
        (3, timedelta(), Renewal.STOLEN),
        (0, timedelta(), Renewal.STOLEN),
        (6, timedelta(), Renewal.STOLEN),
    ],
)
def test_a_refresh_token_gets_a_renewal_by_generation_and_time(
    generation: int, after: timedelta, worth: Renewal
) -> None:
    assert renewal(SESSION, generation, now=NOW + after) is worth


@given(
    generation=st.integers(min_value=0, max_value=10),
    after=st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=2)),
)
def test_only_the_latest_token_of_a_living_session_brings_the_next(
    generation: int, after: timedelta
) -> None:
    worth = renewal(SESSION, generation, now=NOW + after)
    is_next = generation == SESSION.generation and NOW + after < SESSION.expires_at
    assert (worth is Renewal.NEXT) == is_next


@given(
    generation=st.integers(min_value=0, max_value=10),
    early=st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=2)),
    later=st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=2)),
)
def test_a_refused_refresh_token_stays_refused(
    generation: int, early: timedelta, later: timedelta
) -> None:
    good = {Renewal.NEXT, Renewal.SAME_AGAIN}
    before = renewal(SESSION, generation, now=NOW + early)
    assert before in good or renewal(SESSION, generation, now=NOW + early + later) not in good


async def test_a_log_in_tells_who_calls(service: MemberService, alice: LoggedIn) -> None:
    viewer = await service.sessions.viewer(showing(alice.tokens.access_token))
    assert viewer.member == alice.member
    assert alice.member.membername == "alice"


async def test_tokens_say_when_they_expire(alice: LoggedIn, clock: FakeClock) -> None:
    tokens = alice.tokens
    assert tokens.access_token_expires_at == clock.now + RULES.access_lifetime
    assert tokens.refresh_token_expires_at == clock.now + RULES.refresh_lifetime


@pytest.mark.parametrize(
    ("membername", "password"),
    [
        ("alice", "through the looking-glass"),
        ("alice", ALICE.password.upper()),
        ("alice", ALICE.password + " "),
        ("alice", ""),
        ("alice", "\ud800"),
        ("ALICE", ALICE.password),
        ("nobody", ALICE.password),
        ("nobody", ""),
        ("", ""),
        ("' OR 1=1 --", ALICE.password),
        ("alice\x00", ALICE.password),
    ],
)
async def test_unknown_names_and_wrong_passwords_are_refused_alike(
    service: MemberService, alice: LoggedIn, membername: str, password: str
) -> None:
    with pytest.raises(WrongPasswordError, match="the member name or the password is wrong"):
        await service.sessions.log_in(ANYBODY, membername, password)


async def test_a_password_typed_on_another_keyboard_fits(service: MemberService) -> None:
    composed = replace(ALICE, password="caf\u00e9 \ufb01lter 8")
    await service.sign_up.create_member(ANYBODY, composed)
    assert await service.sessions.log_in(ANYBODY, "alice", "cafe\u0301 filter 8")


async def test_a_renewal_brings_new_tokens_and_a_longer_life(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    clock.turn(timedelta(hours=23))
    renewed = await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    assert renewed.refresh_token != alice.tokens.refresh_token
    assert renewed.refresh_token_expires_at == clock.now + RULES.refresh_lifetime
    assert not await is_over(service, renewed)


async def test_a_session_lives_as_long_as_it_is_renewed(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    first = await renew_after(timedelta(hours=20), service, alice.tokens, clock)
    second = await renew_after(timedelta(hours=20), service, first, clock)
    tokens = await renew_after(timedelta(hours=20), service, second, clock)
    assert not await is_over(service, tokens)


async def test_a_moment_later_a_spent_token_is_answered_again(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    first = await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    clock.turn(RENEW_AGAIN)
    again = await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    assert again.refresh_token == first.refresh_token
    assert again.refresh_token_expires_at == first.refresh_token_expires_at
    assert not await is_over(service, again)


async def test_later_a_spent_token_ends_the_session(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    renewed = await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    clock.turn(RENEW_AGAIN + MOMENT)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, renewed.refresh_token)
    assert await is_over(service, renewed)


async def test_a_token_spent_twice_over_ends_the_session_at_once(
    service: MemberService, alice: LoggedIn
) -> None:
    second = await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    third = await service.sessions.renew(ANYBODY, second.refresh_token)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    assert await is_over(service, third)


async def test_a_stolen_token_ends_no_other_session(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    other = await log_in(service.sessions)
    await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    clock.turn(RENEW_AGAIN + MOMENT)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    assert not await is_over(service, other.tokens)


async def test_an_expired_refresh_token_is_refused(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    clock.turn(RULES.refresh_lifetime)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)


@pytest.mark.parametrize("nonsense", ["", "nonsense", "A" * 64, "é" * 64, "A" * 100_000])
async def test_a_text_that_is_no_refresh_token_is_refused(
    service: MemberService, alice: LoggedIn, nonsense: str
) -> None:
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, nonsense)
    assert not await is_over(service, alice.tokens)


async def test_an_access_token_renews_nothing(service: MemberService, alice: LoggedIn) -> None:
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, alice.tokens.access_token)


async def test_renewals_of_one_token_at_the_same_time_make_one_generation(
    service: MemberService, alice: LoggedIn, db: Database
) -> None:
    token = alice.tokens.refresh_token
    renewed = await asyncio.gather(*(service.sessions.renew(ANYBODY, token) for _ in range(10)))
    assert len({tokens.refresh_token for tokens in renewed}) == 1
    session = await session_of(db, renewed[0])
    assert session is not None
    assert session.generation == 1


async def test_a_log_out_ends_the_session(service: MemberService, alice: LoggedIn) -> None:
    other = await log_in(service.sessions)
    await service.sessions.log_out(ANYBODY, alice.tokens.refresh_token)
    with pytest.raises(RefreshTokenError):
        await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    assert await is_over(service, alice.tokens)
    assert not await is_over(service, other.tokens)


async def test_a_log_out_answers_alike_whatever_it_is_shown(
    service: MemberService, alice: LoggedIn
) -> None:
    await service.sessions.log_out(ANYBODY, alice.tokens.refresh_token)
    await service.sessions.log_out(ANYBODY, alice.tokens.refresh_token)
    await service.sessions.log_out(ANYBODY, "nonsense")


async def test_a_log_out_with_a_spent_token_ends_the_session_too(
    service: MemberService, alice: LoggedIn
) -> None:
    renewed = await service.sessions.renew(ANYBODY, alice.tokens.refresh_token)
    await service.sessions.log_out(ANYBODY, alice.tokens.refresh_token)
    assert await is_over(service, renewed)


async def test_an_access_token_expires(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    clock.turn(RULES.access_lifetime - MOMENT)
    assert not await is_over(service, alice.tokens)
    clock.turn(MOMENT)
    assert await is_over(service, alice.tokens)


async def test_an_access_token_does_not_outlive_its_session(
    service: MemberService, alice: LoggedIn, clock: FakeClock
) -> None:
    brief = replace(service.sessions, refresh_lifetime=timedelta(minutes=1))
    tokens = (await log_in(brief)).tokens
    assert tokens.access_token_expires_at == tokens.refresh_token_expires_at
    clock.turn(timedelta(minutes=1))
    assert await is_over(service, tokens)


async def test_a_refresh_token_proves_nobody(service: MemberService, alice: LoggedIn) -> None:
    with pytest.raises(AccessTokenError):
        await service.sessions.viewer(showing(alice.tokens.refresh_token))


async def test_a_refresh_token_is_nowhere_in_the_database(alice: LoggedIn, db: Database) -> None:
    async with db.reading() as session:
        rows = (await session.execute(select(SessionRow.__table__))).all()
    token = alice.tokens.refresh_token
    seal = base64.urlsafe_b64decode(token)[-28:]
    assert token not in repr(rows)
    assert repr(seal)[2:-1] not in repr(rows)


async def test_a_repr_shows_no_token(alice: LoggedIn) -> None:
    assert alice.tokens.access_token not in repr(alice)
    assert alice.tokens.refresh_token not in repr(alice)
