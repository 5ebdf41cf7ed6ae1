"""Options become texts that Go's tools can read, and all texts of Go are parsed."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.option_texts import format_options, parse_options
from pyasynq.core.options import NO_OPTIONS, Options

texts = st.text(st.characters(codec="utf-8"))
instants = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
spans = st.timedeltas(timedelta(0), timedelta(days=36_500))
options = st.builds(
    Options,
    queue=st.none() | texts,
    task_id=st.none() | texts,
    max_retry=st.none() | st.integers(0, 2**31 - 1),
    timeout=st.none() | spans,
    deadline=st.none() | instants,
    unique=st.none() | spans,
    process_in=st.none() | spans,
    retention=st.none() | spans,
    group=st.none() | texts,
    headers=st.dictionaries(texts, texts),
)


def march(day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, 3, day, hour, minute, 7, tzinfo=UTC)


@given(options)
def test_formatted_options_are_parsed_to_the_same(given: Options) -> None:
    assert parse_options(format_options(given)) == given


@given(options)
def test_gos_reader_finds_the_end_of_every_argument(given: Options) -> None:
    assert all(text.index(")") == len(text) - 1 for text in format_options(given))


def test_nothing_is_written_of_what_is_not_given() -> None:
    assert format_options(NO_OPTIONS) == []


def test_a_header_is_written_as_go_writes_json() -> None:
    assert format_options(Options(headers={"k<": 'ü"\u2028'})) == [
        r'Header(["k\u003c","ü\"\u2028"])'
    ]


def test_an_instant_is_written_in_utc() -> None:
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=5)))
    assert format_options(Options(deadline=at)) == ["Deadline(Wed Mar  4 00:06:07 UTC 2026)"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r'Queue("\u263a\U0001f600\x41é☃\v\"\\x41")', {"queue": '☺😀Aé☃\v"\\x41'}),
        ('Queue("a)b")', {"queue": "a)b"}),
        ("MaxRetry(+3)", {"max_retry": 3}),
        ("Timeout(0)", {"timeout": timedelta(0)}),
        ("Deadline(Wed Mar  4 05:06:07 EST 2026)", {"deadline": march(4, 5, 6)}),
        ("Deadline(Wed Mar  4 05:06:07 +0530 2026)", {"deadline": march(3, 23, 36)}),
        ("Deadline(Wed Mar  4 05:06:07 -03 2026)", {"deadline": march(4, 5, 6)}),
    ],
)
def test_every_form_of_an_argument_is_read(text: str, read: dict[str, Any]) -> None:
    assert parse_options([text]) == Options(**read)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no parenthesis",
        "Queue(",
        "MaxRetry(3.5)",
        "MaxRetry()",
        "Timeout(30)",
        "Timeout(1d)",
        "Deadline(tomorrow)",
        "Deadline(Wed Foo  4 05:06:07 UTC 2026)",
        "Deadline(Wed Feb 30 05:06:07 UTC 2026)",
        "Header(k)",
        'Header(["k"])',
        'Header(["k",1])',
        "Unheard(1)",
    ],
)
def test_a_text_that_cannot_be_read_is_left_out(text: str) -> None:
    assert parse_options([text, "MaxRetry(3)"]) == Options(max_retry=3)


@pytest.mark.parametrize(
    "literal", ["low", '"low', '"', r'"\q"', r'"\101"', r'"\x4"', r'"\U00110000"', "`a\\n`", ""]
)
def test_a_name_that_cannot_be_read_is_shown_as_it_stands(literal: str) -> None:
    assert parse_options([f"Queue({literal})"]) == Options(queue=literal)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (["MaxRetry(1)", "MaxRetry(2)"], Options(max_retry=2)),
        (
            ["ProcessAt(Wed Mar  4 05:06:07 UTC 2026)", "ProcessIn(1s)"],
            Options(process_in=timedelta(seconds=1)),
        ),
        (['Header(["a","1"])', 'Header(["b","2"])'], Options(headers={"a": "1", "b": "2"})),
    ],
    ids=["one option twice", "two process times", "two headers"],
)
def test_the_last_of_conflicting_texts_wins_as_in_go(told: list[str], read: Options) -> None:
    assert parse_options(told) == read
