"""Cells are short."""

from datetime import UTC, datetime, timedelta

import pytest

from pyasynq.terminal import texts

NOON = datetime(2040, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (99_999, "99999"),
        (100_000, "100k"),
        (1_234_567, "1.2M"),
        (123_456_789, "123M"),
        (5_000_000_000, "5.0G"),
    ],
)
def test_a_count_has_at_most_six_characters(number: int, shown: str) -> None:
    assert texts.count(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(None, "-"), (0.0, "0.0"), (12.34, "12.3"), (123.4, "123")]
)
def test_a_rate_has_one_digit_after_the_point(number: float | None, shown: str) -> None:
    assert texts.rate(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (59, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (90_000, "1d1h"),
        (-61, "-1m1s"),
    ],
)
def test_a_span_has_two_units(seconds: float, shown: str) -> None:
    assert texts.span(timedelta(seconds=seconds)) == shown


def test_what_is_not_known_is_a_dash() -> None:
    unknown = (texts.span(None), texts.ago(None, NOON), texts.instant(None), texts.share(1, 0))
    assert unknown == ("-", "-", "-", "-")
    assert texts.wait(timedelta()) == "-"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.5, "now"), (5, "5s ago"), (-5, "in 5s"), (-0.5, "in 500ms")]
)
def test_an_instant_is_shown_by_its_distance(seconds: float, shown: str) -> None:
    assert texts.ago(NOON - timedelta(seconds=seconds), NOON) == shown


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        (None, 4, ""),
        ([0, 0], 4, "  "),
        ([0, 1, 4, 8], 4, " ▁▄█"),
        ([1, 0, 0, 7, 1], 3, "▁ █"),
        ([5] * 60, 12, "█" * 12),
    ],
)
def test_a_sparkline_fits(values: list[int] | None, width: int, shown: str) -> None:
    assert texts.sparkline(values, width) == shown
