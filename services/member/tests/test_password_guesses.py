"""Attackers can guess a password only tens of times an hour, and lock no owner out."""

from collections.abc import AsyncGenerator, Awaitable, Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from member import limits
from member.callers import Caller
from member.errors import (
    CurrentPasswordError,
    LimitedError,
    MemberError,
    RequestIdError,
    WrongPasswordError,
)
from member.fair_slots import FairSlots
from member.limits import Limits
from member.limits.memory import MemoryLimiter
from member.limits.rate import Rate
from member.passwords import Passwords
from member.service import Dependencies, MemberService, member_service
from member.service.housekeeping import Housekeeping
from member.store.database import Database
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    NO_RATES,
    RULES,
    FakeClock,
    log_in_as,
)
from services.member.tests.scenes import Scenes, Stage
from tests.support.servers import RedisServer

RATES = replace(NO_RATES, guess=Rate(burst=5, per=timedelta(hours=1)))
HOME, NEW_PLACE = Caller(address="192.0.2.1"), Caller(address="192.0.2.2")
NEW_PASSWORD = "through the looking-glass"


@pytest.fixture
async def in_memory(clock: FakeClock) -> Limits:
    return Limits(MemoryLimiter(clock=clock), RATES)


@pytest.fixture
async def in_redis(redis: RedisServer) -> AsyncGenerator[Limits]:
    async with limits.open_limits(redis.url, RATES) as opened:
        yield opened


@pytest.fixture(params=["in_memory", "in_redis"])
def guess_limits(request: pytest.FixtureRequest) -> Limits:
    """Limits of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
async def service(
    dependencies: Dependencies, guess_limits: Limits, scenes: Scenes
) -> MemberService:
    """The service, with Alice, who has logged in at home."""
    await scenes.play(_alice)
    return member_service(replace(dependencies, limits=guess_limits), RULES)


async def _alice(stage: Stage) -> None:
    await stage.service.sign_up.create_member(ANYBODY, ALICE, "id")
    await log_in(stage.service, HOME)


async def log_in(service: MemberService, caller: Caller, password: str = ALICE.password) -> None:
    await service.sessions.log_in(caller, "alice", password)


async def endings(calls: Iterable[Awaitable[object]]) -> list[type[MemberError] | None]:
    """Return the error of each of *calls*, or None."""
    return [await ending(call) for call in calls]


async def ending(call: Awaitable[object]) -> type[MemberError] | None:
    try:
        await call
    except MemberError as error:
        return type(error)
    return None


async def attack(service: MemberService, membername: str = "alice") -> list[object]:
    """Try a wrong password from eight addresses; return the error of each try."""
    callers = (Caller(address=f"198.51.100.{number}") for number in range(8))
    return [*await endings(service.sessions.log_in(c, membername, "wrong") for c in callers)]


@pytest.mark.parametrize("membername", ["alice", "nobody"])
async def test_the_number_of_guesses_from_all_addresses_is_limited(
    service: MemberService, membername: str
) -> None:
    expected = [WrongPasswordError] * 5 + [LimitedError] * 3
    assert await attack(service, membername) == expected


async def test_a_right_guess_after_too_many_wrong_ones_is_not_checked(
    service: MemberService,
) -> None:
    await attack(service)
    with pytest.raises(LimitedError):
        await log_in(service, NEW_PLACE)


async def test_an_attack_locks_nobody_out_where_the_member_has_logged_in_before(
    service: MemberService,
) -> None:
    await attack(service)
    await log_in(service, HOME)


async def test_where_the_member_has_logged_in_guesses_are_counted_too(
    service: MemberService,
) -> None:
    guesses = (log_in(service, HOME, "wrong") for _ in range(5))
    assert await endings(guesses) == [WrongPasswordError] * 5
    with pytest.raises(LimitedError):
        await log_in(service, HOME)


async def test_right_passwords_cost_nothing(service: MemberService) -> None:
    assert await endings(log_in(service, NEW_PLACE) for _ in range(20)) == [None] * 20
    assert await attack(service) == [WrongPasswordError] * 5 + [LimitedError] * 3


async def test_a_known_address_of_one_member_is_unknown_for_another(service: MemberService) -> None:
    bob = replace(ALICE, membername="bob", email="bob@example.com")
    await service.sign_up.create_member(ANYBODY, bob)
    await attack(service, "bob")
    with pytest.raises(LimitedError):
        await service.sessions.log_in(HOME, "bob", bob.password)


async def test_a_place_is_forgotten_after_90_days(
    service: MemberService, db: Database, clock: FakeClock
) -> None:
    housekeeping = Housekeeping(database=db, unverified_lifetime=timedelta(days=1000), clock=clock)
    clock.turn(timedelta(days=80))
    await log_in(service, HOME)
    clock.turn(timedelta(days=80))
    await housekeeping.purge()
    await attack(service)
    await log_in(service, HOME)
    clock.turn(timedelta(days=91))
    await housekeeping.purge()
    await attack(service)
    with pytest.raises(LimitedError):
        await log_in(service, HOME)


async def change_password(service: MemberService, caller: Caller, current: str) -> None:
    await service.members.change_password(caller, "alice", current=current, new=NEW_PASSWORD)


async def test_the_number_of_guesses_of_the_current_password_is_limited(
    service: MemberService,
) -> None:
    alice = await log_in_as(service, ALICE)
    callers = (replace(alice, address=f"192.0.2.{number}") for number in range(5))
    guesses = (change_password(service, caller, "wrong") for caller in callers)
    assert await endings(guesses) == [CurrentPasswordError] * 5
    with pytest.raises(LimitedError):
        await change_password(service, alice, ALICE.password)


async def test_while_log_ins_are_attacked_the_member_may_change_the_password(
    service: MemberService,
) -> None:
    alice = await log_in_as(service, ALICE)
    await attack(service)
    await change_password(service, alice, ALICE.password)


async def test_a_sign_up_that_is_tried_again_is_no_way_to_guess(service: MemberService) -> None:
    wrong = replace(ALICE, password=NEW_PASSWORD)
    guesses = (service.sign_up.create_member(NEW_PLACE, wrong, "id") for _ in range(5))
    assert await endings(guesses) == [RequestIdError] * 5
    with pytest.raises(LimitedError):
        await service.sign_up.create_member(NEW_PLACE, ALICE, "id")


async def test_a_password_that_was_not_checked_is_no_guess(
    service: MemberService, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise LimitedError(timedelta(seconds=1))

    with monkeypatch.context() as busy:
        busy.setattr(FairSlots, "take", refuse)
        tries = (log_in(service, NEW_PLACE) for _ in range(20))
        assert await endings(tries) == [LimitedError] * 20
    await log_in(service, NEW_PLACE)
