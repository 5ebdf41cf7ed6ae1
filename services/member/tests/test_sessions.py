"""Sessions: log in, renew, log out, and tell who calls."""

import asyncio
import base64
import json
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from member import store
from member.callers import Caller
from member.errors import AccessTokenError, RefreshTokenError, WrongPasswordError
from member.passwords import HashCost, Passwords
from member.service import MemberService
from member.service.sessions import LoggedIn, Sessions
from member.sessions import RENEW_AGAIN, Renewal, Session, SessionTokens, renewal
from member.store.database import Database
from member.store.tables import SessionRow
from member.tokens import AccessClaim, AccessMint, RefreshMint
from services.member.tests.doubles import ALICE, ANYBODY, RULES, FakeClock

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
async def alice(service: MemberService) -> LoggedIn:
    """A session of Alice."""
    await service.sign_up.create_member(ANYBODY, ALICE)
    return await log_in(service.sessions)


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
def test_what_a_refresh_token_is_worth(generation: int, after: timedelta, worth: Renewal) -> None:
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
def test_a_token_that_is_worth_nothing_never_gets_better(
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
async def test_what_does_not_fit_is_refused_alike(
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
async def test_what_is_no_refresh_token_is_refused(
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


async def test_the_session_of_one_member_proves_no_other(
    service: MemberService, alice: LoggedIn, db: Database, clock: FakeClock
) -> None:
    session = await session_of(db, alice.tokens)
    assert session is not None
    claim = AccessClaim(UUID(int=7), session.id)
    token = AccessMint(RULES.token_key).token(
        claim, now=clock.now, expires_at=clock.now + timedelta(hours=1)
    )
    with pytest.raises(AccessTokenError):
        await service.sessions.viewer(showing(token))


def resealed(token: str, *, key: bytes, algorithm: str, **claims: object) -> str:
    """Return *token* with other *claims*, sealed by somebody else."""
    said = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**said, **claims}, key, algorithm)


def unsigned(token: str) -> str:
    """Return *token* with a header that says no signature is needed, and none."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{header.decode().rstrip('=')}.{token.split('.')[1]}."


def tampered(token: str, part: int) -> str:
    """Return *token* with one character in the middle of a *part* changed."""
    parts = token.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


Forge: TypeAlias = Callable[[str], str]

FORGERIES: dict[str, Forge] = {
    "nothing": lambda _: "",
    "no token": lambda _: "nonsense",
    "alg none": unsigned,
    "alg none, with the signature": lambda t: unsigned(t) + t.split(".")[2],
    "another key": lambda t: resealed(t, key=b"k" * 32, algorithm="HS256"),
    "the key of all tokens": lambda t: resealed(t, key=RULES.token_key, algorithm="HS256"),
    "another algorithm": lambda t: resealed(t, key=b"k" * 64, algorithm="HS512"),
    "header changed": lambda t: tampered(t, 0),
    "claims changed": lambda t: tampered(t, 1),
    "signature changed": lambda t: tampered(t, 2),
    "signature cut off": lambda t: t.rpartition(".")[0] + ".",
    "twice": lambda t: t + t,
    "nested": lambda t: base64.urlsafe_b64encode(b"[" * 6000).decode() + t[t.index(".") :],
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_access_token_is_refused(
    service: MemberService, alice: LoggedIn, forge: Forge
) -> None:
    with pytest.raises(AccessTokenError):
        await service.sessions.viewer(showing(forge(alice.tokens.access_token)))


async def test_a_refresh_token_proves_nobody(service: MemberService, alice: LoggedIn) -> None:
    with pytest.raises(AccessTokenError):
        await service.sessions.viewer(showing(alice.tokens.refresh_token))


@pytest.fixture
def dearer(service: MemberService) -> Generator[Sessions]:
    """Sessions after hashes were made dearer."""
    passwords = Passwords(HashCost(time=2, memory_kib=16, threads=2))
    yield replace(service.sessions, passwords=passwords)
    passwords.close()


async def hash_of(db: Database) -> str:
    async with db.reading() as session:
        found = await store.members.credentials(session, "alice")
    assert found is not None
    return found.password_hash


async def test_a_log_in_brings_the_hash_to_the_cost_of_today(
    alice: LoggedIn, dearer: Sessions, db: Database
) -> None:
    assert dearer.passwords.is_outdated(await hash_of(db))
    await log_in(dearer)
    renewed = await hash_of(db)
    assert not dearer.passwords.is_outdated(renewed)
    await log_in(dearer)
    assert await hash_of(db) == renewed


async def test_a_wrong_password_leaves_the_hash_as_it_is(
    alice: LoggedIn, dearer: Sessions, db: Database
) -> None:
    before = await hash_of(db)
    with pytest.raises(WrongPasswordError):
        await dearer.log_in(ANYBODY, "alice", "through the looking-glass")
    assert await hash_of(db) == before


async def test_log_ins_at_the_same_time_all_succeed_while_the_cost_changes(
    alice: LoggedIn, dearer: Sessions, db: Database
) -> None:
    logged_in = await asyncio.gather(*(log_in(dearer) for _ in range(10)))
    assert len({one.tokens.refresh_token for one in logged_in}) == 10
    async with db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(SessionRow)) == 11
    assert not dearer.passwords.is_outdated(await hash_of(db))


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
