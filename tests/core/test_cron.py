"""Cron texts become schedules; tests/interop compares them with asynq's library."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.cron import Every, parse
from pyasynq.core.errors import OptionError

START = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)


def test_a_tick_is_utc_and_a_whole_second() -> None:
    tick = parse("* * * * *", location=ZoneInfo("Asia/Tokyo")).next(START)
    assert repr(tick) == repr(datetime(2026, 3, 4, 5, 7, tzinfo=UTC))


def test_an_instant_in_any_zone_can_be_asked() -> None:
    start = START.astimezone(ZoneInfo("America/New_York"))
    assert parse("0 6 * * *").next(start) == datetime(2026, 3, 4, 6, tzinfo=UTC)


def test_the_location_is_that_of_a_text_without_a_zone() -> None:
    tokyo = parse("0 9 * * *", location=ZoneInfo("Asia/Tokyo"))
    assert tokyo.next(START) == datetime(2026, 3, 5, 0, tzinfo=UTC)


def test_the_zone_of_a_text_wins_over_the_location() -> None:
    spec = "CRON_TZ=Asia/Tokyo 0 9 * * *"
    assert parse(spec, location=UTC).next(START) == datetime(2026, 3, 5, 0, tzinfo=UTC)


def test_a_text_without_a_tick_in_five_years_has_none() -> None:
    assert parse("0 0 30 2 *").next(START) is None


def test_a_day_that_a_zone_left_out_is_passed_over() -> None:
    apia = parse("0 0 30 12 *", location=ZoneInfo("Pacific/Apia"))
    at = apia.next(datetime(2011, 12, 1, tzinfo=UTC))
    assert at == datetime(2012, 12, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize("spec", ["TZ=UTC", "CRON_TZ=Europe/Paris", "TZ="])
def test_a_zone_with_nothing_behind_it_is_refused(spec: str) -> None:
    with pytest.raises(OptionError, match="after a space, five fields"):
        parse(spec)


@pytest.mark.parametrize("name", ["Nowhere/Land", "/etc/passwd", "../x", "Europe"])
def test_an_unknown_zone_is_refused_with_its_name(name: str) -> None:
    with pytest.raises(OptionError, match=rf"does not know '{name}' \(zones come from the system"):
        parse(f"TZ={name} * * * * *")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("* * * * * *", "five fields: minute hour"),
        ("60 * * * *", "'60' is not within 0-59"),
        ("* * * x *", "'x' is no number or name"),
        ("1-2-3 * * * *", "'1-2-3' is no value, range or step"),
        ("@every x", "@every and a duration such as 1h30m"),
        ("@reboot", "one of @yearly"),
    ],
)
def test_the_error_for_a_refused_text_says_what_would_be_right(spec: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        parse(spec)


# -- every ---------------------------------------------------------------------------------------


def test_without_an_anchor_the_next_tick_is_one_period_ahead() -> None:
    assert parse("@every 1m").next(START) == START.replace(microsecond=0) + timedelta(minutes=1)


def test_anchored_ticks_are_whole_periods_from_the_anchor() -> None:
    schedule = parse("@every 1m").anchor_at(START)
    later = START + timedelta(hours=1, seconds=59)
    assert schedule.next(later) == START.replace(microsecond=0) + timedelta(hours=1, minutes=1)


def test_anchored_ticks_come_after_the_anchor() -> None:
    schedule = parse("@every 1m").anchor_at(START)
    early = START - timedelta(days=1)
    assert schedule.next(early) == START.replace(microsecond=0) + timedelta(minutes=1)


@given(st.integers(1, 10_000), st.integers(0, 1_000_000))
def test_the_next_anchored_tick_is_later_by_a_period_at_most(period_s: int, ahead_s: int) -> None:
    at = START + timedelta(seconds=ahead_s)
    tick = Every(timedelta(seconds=period_s), START).next(at)
    assert tick is not None
    assert timedelta(0) < tick - at <= timedelta(seconds=period_s)


def test_a_calendar_ignores_its_anchor() -> None:
    schedule = parse("0 6 * * *")
    assert schedule.anchor_at(START) is schedule
