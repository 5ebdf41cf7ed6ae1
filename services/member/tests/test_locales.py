"""The choice of the language for a browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member.locales import LOCALES, Locale, from_accept_language


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("en-US,en;q=0.9", "en"),
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
        ("zh-CN", "zh-TW"),
        ("ZH-hant", "zh-TW"),
        ("fr, zh-TW;q=0.8", "zh-TW"),
        ("zh-TW;q=0.2, en ; q=0.7", "en"),
        ("fr, de;q=0.9, *;q=0.1", "en"),
    ],
)
def test_the_language_that_is_liked_best_is_taken(header: str, locale: Locale) -> None:
    assert from_accept_language(header) == locale


def test_of_equally_preferred_languages_the_first_is_taken() -> None:
    assert (from_accept_language("zh, en"), from_accept_language("en, zh")) == ("zh-TW", "en")


def test_a_language_of_no_weight_is_not_wanted() -> None:
    assert from_accept_language("zh;q=0, fr") == "en"


@pytest.mark.parametrize("header", ["", "de", "fr-CA, de;q=0.5", ",;q=1,", "en;q=2", "*"])
def test_a_reader_of_neither_language_gets_english(header: str) -> None:
    assert from_accept_language(header) == "en"


def test_a_malformed_entry_is_passed_over() -> None:
    assert from_accept_language("en;q=nan, zh;q=0.1, en;level=1") == "zh-TW"


@given(st.text())
def test_no_header_breaks_the_choice(header: str) -> None:
    assert from_accept_language(header) in LOCALES
