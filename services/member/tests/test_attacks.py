"""Times and answers reveal nothing to attackers; concurrent calls and odd input break nothing."""

import asyncio
import time
import unicodedata
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from html import unescape
from typing import Literal, TypeAlias

import pytest
from argon2 import PasswordHasher

from member import store
from member.callers import Caller
from member.errors import (
    AlreadyExistsError,
    DistributeError,
    InvalidInputError,
    LimitedError,
    MailDelayedError,
    WrongPasswordError,
)
from member.mailer import Mailer
from member.members import SignUp
from member.passwords import HashCost, Passwords
from member.service import Dependencies, MemberService, member_service
from member.service.verifications import RESEND_TIME
from member.store.database import Database
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    RULES,
    FakeClock,
    MailFolder,
    TaskList,
    log_in_as,
    text_of,
    token_of,
)
from services.member.tests.scenes import Scenes, Stage
from tests.support.waiting import wait_until

# Other tests cover the differences between databases.
one_database = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)

RESEND_S = RESEND_TIME.total_seconds()
LATER = RULES.verify_email_delay + timedelta(minutes=2)
SAME_ADDRESS = ("a@b.de", "A@b.de", "a@B.DE", " a@b.de ")

Work: TypeAlias = tuple[str, str]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """The work of argon2: whether it made or checked a hash, and at which cost."""
    done = list[Work]()
    make, check = PasswordHasher.hash, PasswordHasher.verify

    def counted_hash(self: PasswordHasher, password: str | bytes) -> str:
        made = make(self, password)
        done.append(("hash", cost_of(made)))
        return made

    def counted_verify(self: PasswordHasher, known: str, password: str | bytes) -> bool:
        done.append(("verify", cost_of(known)))
        return check(self, known, password)

    monkeypatch.setattr(PasswordHasher, "hash", counted_hash)
    monkeypatch.setattr(PasswordHasher, "verify", counted_verify)
    return done


def cost_of(password_hash: str) -> str:
    """Return the parameters in a hash: ``m=8,t=1,p=1``."""
    return password_hash.split("$")[3]


async def work_of(call: Awaitable[object], work: list[Work]) -> list[Work]:
    """Return the work of argon2 for a call, which may be refused."""
    work.clear()
    await asyncio.gather(call, return_exceptions=True)
    return list(work)


@one_database
@pytest.mark.parametrize("membername", ["alice", "nobody", "No Name", ""])
async def test_a_wrong_log_in_costs_one_check_for_known_and_unknown_members(
    service: MemberService, work: list[Work], membername: str
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    log_in = service.sessions.log_in(ANYBODY, membername, "through the looking-glass")
    assert await work_of(log_in, work) == [("verify", "m=8,t=1,p=1")]


@one_database
@pytest.mark.parametrize(
    "wanted",
    [BOB, ALICE, replace(BOB, membername="alice"), replace(BOB, email=ALICE.email)],
    ids=["free", "both taken", "name taken", "address taken"],
)
async def test_a_sign_up_costs_one_hash_whatever_is_taken(
    service: MemberService, work: list[Work], wanted: SignUp
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    sign_up = service.sign_up.create_member(ANYBODY, wanted)
    assert await work_of(sign_up, work) == [("hash", "m=8,t=1,p=1")]


async def seconds_of_resend(service: MemberService, email: str) -> float:
    start = time.monotonic()
    await service.verifications.resend(ANYBODY, email)
    return time.monotonic() - start


async def seconds_of_request(service: MemberService, email: str) -> float:
    start = time.monotonic()
    await service.password_resets.request(ANYBODY, email)
    return time.monotonic() - start


@pytest.fixture
async def verified_bob(scenes: Scenes) -> SignUp:
    return await scenes.play(_verified_bob)


async def _verified_bob(stage: Stage) -> SignUp:
    await stage.service.sign_up.create_member(ANYBODY, BOB)
    await stage.mailer.send_verify_email("bob")
    await stage.service.verifications.verify(ANYBODY, token_of(stage.outbox.mails.pop()))
    return BOB


@pytest.mark.parametrize("email", [ALICE.email, BOB.email, "nobody@example.com"])
async def test_a_resend_takes_the_same_time_for_every_address(
    service: MemberService, verified_bob: SignUp, email: str
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    assert await seconds_of_resend(service, email) >= RESEND_S


@pytest.mark.parametrize("email", [ALICE.email, BOB.email, "nobody@example.com"])
async def test_a_request_for_a_new_password_takes_the_same_time_for_every_address(
    service: MemberService, verified_bob: SignUp, email: str
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    assert await seconds_of_request(service, email) >= RESEND_S


@one_database
async def test_a_resend_that_fails_looks_like_one_that_was_pointless(
    service: MemberService, tasks: TaskList
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    tasks.error = DistributeError("send verify email", "Redis is away")
    assert await seconds_of_resend(service, ALICE.email) >= RESEND_S


async def test_a_resend_queues_a_mail_to_the_unverified_alone(
    service: MemberService, verified_bob: SignUp, tasks: TaskList, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    tasks.tasks.clear()
    clock.turn(LATER)
    emails = (ALICE.email, verified_bob.email, "nobody@example.com")
    await asyncio.gather(*(service.verifications.resend(ANYBODY, email) for email in emails))
    assert [payload.membername for payload, _ in tasks.tasks] == ["alice"]


async def test_quick_resends_queue_one_mail(
    service: MemberService, mailer: Mailer, outbox: MailFolder, tasks: TaskList, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await resend_thrice(service)
    assert len(tasks.tasks) == 1
    clock.turn(RULES.verify_email_delay)
    await mailer.send_verify_email("alice")
    await resend_thrice(service)
    assert len(tasks.tasks) == 2
    clock.turn(RULES.verify_email_delay)
    await mailer.send_verify_email("alice")
    assert len(outbox.mails) == 2


async def resend_thrice(service: MemberService) -> None:
    await asyncio.gather(*(service.verifications.resend(ANYBODY, ALICE.email) for _ in range(3)))


async def test_of_tasks_at_the_same_time_one_sends_the_mail(
    service: MemberService, mailer: Mailer, verified_bob: SignUp, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await service.password_resets.request(ANYBODY, verified_bob.email)
    await asyncio.gather(
        *(mailer.send_verify_email("alice") for _ in range(4)),
        *(mailer.send_password_reset("bob") for _ in range(4)),
    )
    assert sorted(mail["To"] for mail in outbox.mails) == [ALICE.email, BOB.email]


async def test_a_mail_that_does_not_come_can_be_asked_for_again(
    service: MemberService, mailer: Mailer, outbox: MailFolder, tasks: TaskList, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    outbox.error = MailDelayedError("no")
    with pytest.raises(MailDelayedError):
        await mailer.send_verify_email("alice")
    clock.turn(LATER)
    await resend_thrice(service)
    assert len(tasks.tasks) == 2


async def test_of_clicks_at_the_same_time_one_is_the_first(
    service: MemberService, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await mailer.send_verify_email("alice")
    token = token_of(outbox.mails[0])
    clicks = (service.verifications.verify(ANYBODY, token) for _ in range(10))
    outcomes = await asyncio.gather(*clicks)
    assert sorted(outcome.already for outcome in outcomes) == [False] + [True] * 9


async def test_of_guesses_at_the_same_time_each_counts(
    service: MemberService, mailer: Mailer, outbox: MailFolder, db: Database
) -> None:
    member = await service.sign_up.create_member(ANYBODY, ALICE)
    await mailer.send_verify_email("alice")
    guess = token_of(outbox.mails[0])[:-4] + "AAAA"
    guesses = (service.verifications.verify(ANYBODY, guess) for _ in range(10))
    await asyncio.gather(*guesses, return_exceptions=True)
    async with db.reading() as session:
        verification = await store.verifications.current(session, member.id)
    assert verification is not None
    assert verification.wrong_attempts == 10


@one_database
@pytest.mark.parametrize("length", [73, 128])
async def test_the_last_character_of_a_long_password_counts(
    service: MemberService, length: int
) -> None:
    password = ("curiouser and " * 10)[: length - 1]
    await service.sign_up.create_member(ANYBODY, replace(ALICE, password=password + "1"))
    with pytest.raises(WrongPasswordError):
        await log_in_as(service, replace(ALICE, password=password + "2"))
    assert await log_in_as(service, replace(ALICE, password=password + "1"))


@one_database
async def test_a_longer_password_is_refused_and_not_cut(service: MemberService) -> None:
    with pytest.raises(InvalidInputError, match="password: must be 8 to 128 characters"):
        await service.sign_up.create_member(ANYBODY, replace(ALICE, password="x1" * 64 + "y"))


@pytest.mark.parametrize(
    "full_name",
    [
        "Zoë Müller-Łukaszewicz",
        "Jose\u0301 with a combining accent",
        "نجيب محفوظ",
        "מרים Miriam",
        "👩‍👩‍👧‍👦 of 🏴‍☠️",
        "\U00020bb7田 \U0002a6d6\U00030000",
        "தமிழ்",
        "<script>alert('&')</script>",
        "O'Hara; DROP TABLE members--",
        "{{ 7 * 7 }} %s {0} \\n",
    ],
)
async def test_a_name_of_any_script_survives_from_the_sign_up_to_the_mail(
    service: MemberService, mailer: Mailer, outbox: MailFolder, full_name: str
) -> None:
    named = replace(ALICE, full_name=full_name)
    stored = unicodedata.normalize("NFC", full_name)
    await service.sign_up.create_member(ANYBODY, named)
    await mailer.send_verify_email("alice")
    member = await service.members.get(await log_in_as(service, named), "alice")
    assert member.full_name == stored
    assert stored in text_of(sent(outbox))
    page = text_of(sent(outbox), "html")
    assert stored in unescape(page)
    assert "<script" not in page


def sent(outbox: MailFolder) -> EmailMessage:
    """Return the mail as its recipient parses it."""
    arrived = message_from_bytes(outbox.mails[0].as_bytes(policy=SMTP), policy=default)
    assert isinstance(arrived, EmailMessage)
    return arrived


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("alice@example.com", "ALICE@EXAMPLE.COM"),
        ("alice@example.com", " alice@example.com\n"),
        ("alice@straße.example", "Alice@XN--STRAE-OQA.example"),
        ("alice@例え.example", "alice@XN--R8JZ45G.example"),
    ],
)
async def test_an_address_in_other_letters_is_the_same(
    service: MemberService, first: str, second: str
) -> None:
    await service.sign_up.create_member(ANYBODY, replace(ALICE, email=first))
    with pytest.raises(AlreadyExistsError) as caught:
        await service.sign_up.create_member(ANYBODY, replace(BOB, email=second))
    assert caught.value.fields == ("email",)


async def test_of_addresses_in_other_letters_at_the_same_time_one_is_taken(
    service: MemberService,
) -> None:
    twins = (replace(ALICE, membername=f"alice{n}", email=e) for n, e in enumerate(SAME_ADDRESS))
    sign_ups = (service.sign_up.create_member(ANYBODY, twin) for twin in twins)
    outcomes = await asyncio.gather(*sign_ups, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        *["AlreadyExistsError"] * 3,
        "Member",
    ]


MARKS = "".join(sorted(map(chr, range(0x300, 0x370)), key=unicodedata.combining, reverse=True))


@pytest.mark.parametrize("field", ["full_name", "password"])
async def test_marks_that_take_long_to_put_in_order_are_not_put_in_order(
    service: MemberService, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    normalize, longest = unicodedata.normalize, [0]

    def watched(form: Literal["NFC", "NFKC"], text: str) -> str:
        longest.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", watched)
    sign_up = replace(ALICE, **{field: "a" + MARKS * 250})
    with pytest.raises(InvalidInputError):
        await service.sign_up.create_member(ANYBODY, sign_up)
    assert max(longest) < 1000  # 28,001 would take seconds


@pytest.fixture
async def flooded(dependencies: Dependencies) -> AsyncGenerator[MemberService]:
    """A service with Alice, and with more hashes for a dozen addresses than can wait."""
    slow = Passwords(HashCost(time=1, memory_kib=8192, threads=1))
    service = member_service(replace(dependencies, passwords=slow), RULES)
    await service.sign_up.create_member(ANYBODY, ALICE)
    callers = [Caller(address=f"198.51.100.{number}") for number in range(12)] * 10
    calls = (service.sessions.log_in(caller, "nobody", "a password") for caller in callers)
    flood = asyncio.gather(*calls, return_exceptions=True)
    await wait_until(lambda: slow.waiting >= 32)
    yield service
    assert {type(outcome) for outcome in await flood} == {WrongPasswordError, LimitedError}
    slow.close()


@one_database
async def test_a_dozen_addresses_keep_nobody_from_logging_in(flooded: MemberService) -> None:
    assert await log_in_as(flooded, ALICE)


@one_database
async def test_a_dozen_addresses_keep_nobody_from_signing_up(flooded: MemberService) -> None:
    assert await flooded.sign_up.create_member(ANYBODY, BOB)


async def test_more_hashes_than_can_wait_are_refused_for_now() -> None:
    slow = Passwords(HashCost(time=1, memory_kib=8, threads=1))
    tries = (slow.fits("a password", None) for _ in range(60))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    slow.close()
    assert {type(outcome) for outcome in outcomes} == {bool, LimitedError}
