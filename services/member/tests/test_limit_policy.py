"""Which calls are limited, and which callers a limit does not affect."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from member.errors import LimitedError
from member.limits.keys import typed_key
from member.limits.memory import MemoryLimiter
from member.limits.policy import ALLOWANCES, Guesser, Limits, Rates, buckets
from member.limits.rate import Rate
from services.member.tests.doubles import FakeClock

MINUTE = timedelta(minutes=1)
RATE = Rate(burst=10, per=MINUTE)
HOME, CAFE = "203.0.113.7", "198.51.100.1"
ID = UUID(int=7)


@pytest.fixture
def limits(clock: FakeClock) -> Limits:
    rates = Rates(create_member=RATE, log_in=RATE, verify_email=RATE, resend=RATE, guess=RATE)
    return Limits(MemoryLimiter(clock=clock), rates)


async def count_accepted(call: Callable[[], Awaitable[None]]) -> int:
    """Call until it is refused; return the number of accepted calls."""
    for done in count():
        try:
            await call()
        except LimitedError:
            return done
    raise AssertionError


async def log_ins(limits: Limits, address: str, membername: str = "alice") -> int:
    return await count_accepted(lambda: limits.log_in(address, membername))


async def guesses(limits: Limits, by: Guesser, address: str) -> int:
    async def guess() -> None:
        await limits.guess(by, address, "alice")

    return await count_accepted(guess)


async def right_guess(limits: Limits) -> None:
    await limits.undo_guess(await limits.guess("stranger", HOME, "alice"))


async def wait_for_a_guess(limits: Limits, clock: FakeClock) -> timedelta:
    """Guess until a refusal, wait for the time that it names, and return that time."""
    await guesses(limits, "stranger", HOME)
    with pytest.raises(LimitedError) as caught:
        await limits.guess("stranger", HOME, "alice")
    clock.turn(caught.value.retry_after)
    return caught.value.retry_after


@pytest.mark.parametrize(
    ("call", "bursts"),
    [
        ("create", {"create:address": 10, "create:account": 30}),
        ("login", {"login:address": 100, "login:pair": 10}),
        ("password", {"password:address": 100, "password:pair": 10}),
        ("renew", {"renew:address": 100}),
        ("verify", {"verify:address": 10, "verify:account": 10}),
        ("resend", {"resend:address": 100, "resend:account": 10}),
    ],
)
def test_the_buckets_of_a_call_are_those_of_its_row(call: str, bursts: dict[str, int]) -> None:
    taken = buckets(call, RATE, HOME, "alice")
    assert {bucket.name: bucket.rate.burst for bucket in taken} == bursts
    assert {bucket.rate.per for bucket in taken} == {MINUTE}


def test_buckets_are_known_by_address_and_hashed_account() -> None:
    alice = typed_key("alice")
    keys = [bucket.key for bucket in buckets("login", RATE, "2001:db8::1", "alice")]
    assert keys == ["2001:db8::/64", f"2001:db8::/64:{alice}"]


@pytest.mark.parametrize("call", ALLOWANCES)
def test_a_call_without_rate_takes_nothing(call: str) -> None:
    assert buckets(call, None, HOME, "alice") == ()


@pytest.mark.parametrize("call", ALLOWANCES)
def test_a_call_about_nobody_counts_by_address_alone(call: str) -> None:
    assert [bucket.name for bucket in buckets(call, RATE, HOME)] == [f"{call}:address"]


async def test_one_address_tries_one_account_as_often_as_the_setting_says(limits: Limits) -> None:
    assert await log_ins(limits, HOME) == 10


async def test_an_attack_from_one_address_locks_nobody_out(limits: Limits) -> None:
    await log_ins(limits, CAFE)
    await limits.log_in(HOME, "alice")


@pytest.mark.parametrize(("by", "elsewhere"), [("stranger", 0), ("known", 10), ("inside", 0)])
async def test_guesses_of_strangers_are_counted_from_all_addresses_together(
    limits: Limits, by: Guesser, elsewhere: int
) -> None:
    assert await guesses(limits, by, CAFE) == 10
    assert await guesses(limits, by, HOME) == elsewhere


async def test_each_guesser_is_counted_apart(limits: Limits) -> None:
    guessers: list[Guesser] = ["stranger", "known", "inside"]
    assert [await guesses(limits, by, HOME) for by in guessers] == [10, 10, 10]


async def test_the_wait_between_guesses_grows(limits: Limits, clock: FakeClock) -> None:
    waits = [await wait_for_a_guess(limits, clock) for _ in range(60)]
    assert (min(waits), max(waits)) == (MINUTE / 10, MINUTE * 24 / 50)


async def test_a_right_password_costs_no_tokens(limits: Limits) -> None:
    taken = [await right_guess(limits) for _ in range(99)]
    assert len(taken) == 99
    assert await guesses(limits, "stranger", HOME) == 10


async def test_behind_one_address_ten_times_as_many_log_in(limits: Limits) -> None:
    members = [f"member_{number}" for number in range(11)]
    assert [await log_ins(limits, HOME, member) for member in members] == [10] * 10 + [0]


async def test_one_inbox_gets_mails_as_the_setting_says(limits: Limits) -> None:
    assert await count_accepted(lambda: limits.resend(CAFE, "alice@example.com")) == 10
    assert await count_accepted(lambda: limits.resend(HOME, "ALICE@example.com")) == 0
    assert await count_accepted(lambda: limits.resend(HOME, "bob@example.com")) == 10


async def test_sign_ups_from_one_address_are_as_the_setting_says(limits: Limits) -> None:
    emails = (f"{number}@example.com" for number in count())
    assert await count_accepted(lambda: limits.create_member(HOME, next(emails))) == 10


async def test_sign_ups_from_one_address_leave_an_email_to_its_owner(limits: Limits) -> None:
    assert await count_accepted(lambda: limits.create_member(CAFE, "alice@example.com")) == 10
    assert await count_accepted(lambda: limits.create_member(HOME, "alice@example.com")) == 10


async def test_a_text_that_is_no_token_is_counted_by_its_address(limits: Limits) -> None:
    assert await count_accepted(lambda: limits.verify_email(HOME, None)) == 10
    assert await count_accepted(lambda: limits.verify_email(HOME, ID)) == 0
    assert await count_accepted(lambda: limits.verify_email(CAFE, None)) == 10


async def test_one_link_is_tried_as_often_from_all_addresses_as_from_one(limits: Limits) -> None:
    assert await count_accepted(lambda: limits.verify_email(CAFE, ID)) == 10
    assert await count_accepted(lambda: limits.verify_email(HOME, ID)) == 0
