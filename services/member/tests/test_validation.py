"""A sign-up becomes a new member, or the error names everything that is wrong with it."""

import string
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member.errors import InvalidInputError
from member.members import SignUp
from member.validation import validate_sign_up
from services.member.tests.doubles import ALICE

NAMES = st.text(string.ascii_lowercase + string.digits + "_", min_size=3, max_size=32)
CHARACTERS = st.characters(categories=["L", "M", "N"]).filter(
    lambda one: "." not in unicodedata.normalize("NFKC", one)  # as in ⒈, which may make a link
)
WORDS = st.text(CHARACTERS, max_size=99).map("A{}".format)
BLANKS = ["\u200b" * 9, "\u3164" * 9, "\u2800" * 9, "\u115f\u1160" * 9, "\u034f\ufe0f" * 9]


def wrong_fields(sign_up: SignUp) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        validate_sign_up(sign_up)
    return [violation.field for violation in caught.value.violations]


def test_a_good_sign_up_passes_unchanged() -> None:
    new = validate_sign_up(ALICE)
    assert (new.membername, new.full_name, new.email, new.password, new.locale) == (
        "alice",
        "Alice Liddell",
        "alice@example.com",
        "curiouser and curiouser",
        "en",
    )


def test_everything_that_is_wrong_is_reported_together() -> None:
    empty = SignUp(membername="", full_name="", email="", password="", locale="!")
    assert wrong_fields(empty) == ["membername", "full_name", "email", "password", "locale"]


@given(name=NAMES)
def test_every_name_of_the_alphabet_is_a_membername(name: str) -> None:
    assert validate_sign_up(replace(ALICE, membername=name)).membername == name


@pytest.mark.parametrize(
    "name", ["ab", "a" * 33, "Alice", "al ice", "al-ice", "alice\n", "ålice", "愛麗絲"]
)
def test_other_names_are_refused(name: str) -> None:
    assert wrong_fields(replace(ALICE, membername=name)) == ["membername"]


@given(name=WORDS)
def test_a_full_name_may_be_of_any_script(name: str) -> None:
    assert len(validate_sign_up(replace(ALICE, full_name=name)).full_name) <= 100


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 101, "Alice\r\nBcc: all@example.com", "a\0b", "a\u2028b", "a\u202eb"]
)
def test_full_names_that_could_forge_a_mail_are_refused(name: str) -> None:
    assert wrong_fields(replace(ALICE, full_name=name)) == ["full_name"]


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?b?DQpSZXBseS1UbzogYUB4Lm9yZw0KWDo=?=",
        "=?utf-8?q?Alice?=",
        "alice@example.com",
        "alice\uff20example.com",
        "https://evil.example",
        "go to evil.example now",
        "evil。example",
        "evil.\u200dexample",
        "//evil",
        "http:\uff0f\uff0fevil",
        "evil\u2024example",
        "evil\ufe52example",
        "evil.\u034fexample",
        "evil.\ufe0fexample",
        "evil.\u17b4example",
        "evil.\U000e0100example",
        "1.2.3.4",
    ],
)
def test_full_names_that_would_be_a_link_or_header_in_a_mail_are_refused(name: str) -> None:
    assert wrong_fields(replace(ALICE, full_name=name)) == ["full_name"]


@pytest.mark.parametrize(
    "name",
    [
        "J.R.R. Tolkien",
        "Raj s/o Kumar",
        "Sammy Davis Jr.",
        "O'Neil-Smith, III",
        "محمد",
        "王小明",
        "L.A.",
    ],
)
def test_names_of_people_are_no_links(name: str) -> None:
    assert validate_sign_up(replace(ALICE, full_name=name)).full_name == name


@pytest.mark.parametrize("text", BLANKS)
def test_invisible_characters_are_neither_name_nor_password(text: str) -> None:
    sign_up = replace(ALICE, full_name=text, password=text)
    assert wrong_fields(sign_up) == ["full_name", "password"]


@pytest.mark.parametrize(
    ("email", "stored"),
    [
        ("Bob@STRAßE.de", "bob@xn--strae-oqa.de"),
        ("bob@xn--strae-oqa.de", "bob@xn--strae-oqa.de"),
        ("bob@strasse.de", "bob@strasse.de"),
        ("bob@βόλος.com", "bob@xn--nxasmm1c.com"),
        ("bob@例え.jp", "bob@xn--r8jz45g.jp"),
    ],
)
def test_an_address_keeps_its_domain(email: str, stored: str) -> None:
    assert validate_sign_up(replace(ALICE, email=email)).email == stored


def test_an_address_is_stored_case_folded() -> None:
    new = validate_sign_up(replace(ALICE, email=" Alice@EXAMPLE.com "))
    assert new.email == "alice@example.com"


@pytest.mark.parametrize(
    "email",
    [
        "alice",
        "alice@",
        "@example.com",
        "a b@example.com",
        "alice@localhost",
        "älice@example.com",
        f"{'a' * 65}@example.com",
        "=?utf-8?q?a?=@example.com",
    ],
)
def test_a_text_that_is_no_address_is_refused(email: str) -> None:
    assert wrong_fields(replace(ALICE, email=email)) == ["email"]


@pytest.mark.parametrize("length", [8, 128])
def test_a_password_may_be_this_long(length: int) -> None:
    password = ("staple battery horse correct" * 5)[:length]
    assert validate_sign_up(replace(ALICE, password=password)).password == password


@pytest.mark.parametrize("password", ["seven77", "x " * 65, "Password2", "12345678"])
def test_passwords_that_are_short_long_or_common_are_refused(password: str) -> None:
    assert wrong_fields(replace(ALICE, password=password)) == ["password"]


@pytest.mark.parametrize("password", ["alice_in_wonderland", "Alice@Straße.de"])
def test_a_password_must_not_repeat_the_name_or_the_address(password: str) -> None:
    names = {"membername": "alice_in_wonderland", "email": "alice@straße.de"}
    sign_up = replace(ALICE, **names, password=password)
    assert wrong_fields(sign_up) == ["password"]


def test_a_password_is_the_same_from_every_keyboard() -> None:
    composed, decomposed = "pässwörter!", "pa\u0308sswo\u0308rter!"
    assert validate_sign_up(replace(ALICE, password=decomposed)).password == composed


@pytest.mark.parametrize(
    ("tag", "locale"),
    [("", "en"), ("en-GB", "en"), ("de", "en"), ("zh-TW", "zh-TW"), ("zh_Hant_TW", "zh-TW")],
)
def test_the_nearest_language_is_taken(tag: str, locale: str) -> None:
    assert validate_sign_up(replace(ALICE, locale=tag)).locale == locale


@given(
    sign_up=st.builds(
        SignUp,
        membername=st.text(),
        full_name=st.text(),
        email=st.text(),
        password=st.text(),
        locale=st.text(),
    )
)
def test_no_input_breaks_the_validation(sign_up: SignUp) -> None:
    assert set(wrong_fields(sign_up)) <= {"membername", "full_name", "email", "password", "locale"}
