"""Durations are formatted and parsed as in Go."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core import durations

FORMATTED = [
    (timedelta(0), "0s"),
    (timedelta(microseconds=5), "5µs"),
    (timedelta(microseconds=999), "999µs"),
    (timedelta(microseconds=1500), "1.5ms"),
    (timedelta(milliseconds=250), "250ms"),
    (timedelta(seconds=1), "1s"),
    (timedelta(seconds=1.5), "1.5s"),
    (timedelta(seconds=10), "10s"),
    (timedelta(minutes=1), "1m0s"),
    (timedelta(hours=1), "1h0m0s"),
    (timedelta(days=1), "24h0m0s"),
    (timedelta(hours=100, milliseconds=2), "100h0m0.002s"),
    (timedelta(seconds=-90), "-1m30s"),
]


@pytest.mark.parametrize(("duration", "text"), FORMATTED)
def test_a_duration_is_written_as_go_writes_it(duration: timedelta, text: str) -> None:
    assert durations.format_duration(duration) == text


@given(st.timedeltas(timedelta(days=-36_500), timedelta(days=36_500)))
def test_a_formatted_duration_is_parsed_to_the_same(duration: timedelta) -> None:
    assert durations.parse_duration(durations.format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("-0", timedelta(0)),
        ("+5s", timedelta(seconds=5)),
        ("-1.5h", timedelta(hours=-1.5)),
        (".5s", timedelta(seconds=0.5)),
        ("5.s", timedelta(seconds=5)),
        ("1s1s", timedelta(seconds=2)),
        ("3μs", timedelta(microseconds=3)),
        ("1999ns", timedelta(microseconds=1)),
    ],
)
def test_every_form_that_go_reads_is_read(text: str, duration: timedelta) -> None:
    assert durations.parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "30", "1d", ".s", "1 s", "--1s", "+", "1h2", "٣s", "2562048h", "1S"]
)
def test_a_text_that_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        durations.parse_duration(text)
