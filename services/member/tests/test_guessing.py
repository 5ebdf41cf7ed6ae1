"""Passwords that attackers guess first are refused, and no others."""

from dataclasses import replace

import pytest

from member.guessing import common_passwords, is_common, is_made_of
from member.validation import normalize_password, validate_sign_up
from services.member.tests.doubles import ALICE
from services.member.tests.test_validation import wrong_fields

COMMON = [
    "password",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyuiop",
    "iloveyou",
    "princess",
    "sunshine",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "whatever",
    "starwars",
    "michelle",
    "jennifer",
    "victoria",
    "elizabeth",
    "alexander",
    "chocolate",
    "basketball",
    "volleyball",
    "11111111",
    "00000000",
    "88888888",
    "aaaaaaaa",
    "abcdefgh",
    "abcdefghij",
    "87654321",
    "qazwsxedc",
    "1q2w3e4r",
    "1qaz2wsx",
    "zaq12wsx",
    "asdfghjkl",
    "zxcvbnm1",
    "password1",
    "passw0rd",
    "p@ssword",
    "welcome1",
    "letmein1",
    "changeme",
    "administrator",
    "liverpool",
    "woaini1314",
    "5201314a",
    "147258369",
    "741852963",
    "112233445566",
    "computer",
    "internet",
    "samantha",
    "mustang1",
    "dragon12",
    "monkey12",
    "shadow12",
    "master12",
    "hunter12",
    "pokemon1",
    "charlie1",
]
STRONG = [
    "curiouser and curiouser",
    "correct horse battery staple",
    "through the looking-glass",
    "a new pass/word+3",
    "zXk29!mQp0",
    "x7K!q9Zr",
    "xyz!4#82",
    "五月の雨は静かに降る",
]


def test_the_list_holds_more_than_ten_thousand_passwords() -> None:
    assert sum(len(password) >= 8 for password in common_passwords()) > 10_000


def test_the_list_holds_what_a_password_is_compared_as() -> None:
    listed = common_passwords()
    assert {normalize_password(word).casefold() for word in listed} == listed


@pytest.mark.parametrize("change", ["{}", "{}1", "{}!", "{}123", "{}2026!", "{}{}"])
def test_a_common_password_is_refused_however_it_is_changed(change: str) -> None:
    changed = [change.format(word, word) for word in COMMON]
    assert [word for word in changed if not is_common(word)] == []


@pytest.mark.parametrize(
    "password", ["Sunshine", "SUNSHINE", "\uff33unshine", "$un5h1n3", "P@$$w0rd!"]
)
def test_a_common_password_is_refused_in_any_case_and_width(password: str) -> None:
    assert wrong_fields(replace(ALICE, password=password)) == ["password"]


def test_a_password_that_repeats_a_few_characters_is_refused() -> None:
    assert [text for text in ("ab" * 64, "1!|" * 4, "z" * 20 + "1") if not is_common(text)] == []


@pytest.mark.parametrize("password", STRONG)
def test_other_passwords_are_taken(password: str) -> None:
    assert validate_sign_up(replace(ALICE, password=password)).password == password


@pytest.mark.parametrize(
    "password",
    ["Lewis_Carroll2026!", "wonderland77", "Wonderland@example.com", "CharlesDodgson1", "dodgson0"],
)
def test_a_password_must_not_be_made_of_what_others_know(password: str) -> None:
    sign_up = replace(
        ALICE,
        membername="lewis_carroll",
        email="wonderland@example.com",
        full_name="Charles Dodgson",
        password=password,
    )
    assert wrong_fields(sign_up) == ["password"]


def test_names_are_compared_in_any_case() -> None:
    assert is_made_of("ZAPHOD42", {"Zaphod"})
    assert not is_made_of("zaphod and trillian", {"Zaphod"})
