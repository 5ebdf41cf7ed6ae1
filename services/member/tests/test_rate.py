"""Rates as texts."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member.limits.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "burst", "per"),
    [
        ("10/1m", 10, timedelta(minutes=1)),
        ("20/1h", 20, timedelta(hours=1)),
        ("1/1.5s", 1, timedelta(seconds=1.5)),
        ("10000/24h", 10_000, timedelta(days=1)),
    ],
)
def test_a_rate_says_how_often_in_which_time(text: str, burst: int, per: timedelta) -> None:
    assert parse_rate(text) == Rate(burst=burst, per=per)


def test_off_is_no_limit() -> None:
    assert parse_rate("off") is None


@pytest.mark.parametrize(
    "text",
    [
        *["", "10", "/1m", "10/", "10/m", "10/1m/1m", " 10/1m", "OFF"],
        *["0/1m", "-1/1m", "1.5/1m", "10001/1m", "٣/1m", "10/1ms", "10/25h"],
    ],
)
def test_an_invalid_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be off, or how often .* 10000 .* write 10/1m$"):
        parse_rate(text)


@given(burst=st.integers(1, 100_000), seconds=st.integers(1, 86_400))
def test_the_whole_is_the_time_given_but_for_microseconds(burst: int, seconds: int) -> None:
    given_rate = Rate(burst=burst, per=timedelta(seconds=seconds))
    assert given_rate.interval >= timedelta(microseconds=10)
    assert abs(given_rate.whole - given_rate.per) <= timedelta(microseconds=burst / 2)


def test_a_rate_is_multiplied_in_the_same_time() -> None:
    minute = timedelta(minutes=1)
    assert Rate(burst=10, per=minute).times(3) == Rate(burst=30, per=minute)
