"""Options that cannot work are refused early; the error says what is allowed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.errors import OptionError
from pyasynq.core.options import (
    MAX_NAME,
    MAX_RETRY,
    NO_OPTIONS,
    Options,
    check_all,
    check_name,
    merge,
    whole_seconds,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1, 12)  # noqa: DTZ001  # the naive time that is tested
SECOND = timedelta(seconds=1)
UUID = "0b5be0b8-2c0e-4c39-9d07-6d0d9e2d1a11"

NAMES = ["queue", "task_id", "group"]
DURATIONS = ["timeout", "unique"]
DURATIONS_OR_ZERO = ["process_in", "retention"]
INSTANTS = ["deadline", "process_at"]


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", NAMES)
@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u3000"])
def test_a_blank_name_is_refused(option: str, value: str) -> None:
    with pytest.raises(OptionError, match=rf"^{option} must be non-blank text"):
        check_all({option: value})


@pytest.mark.parametrize("option", NAMES)
@pytest.mark.parametrize("value", [b"q", 5, True, ["q"]])
def test_a_name_that_is_no_text_is_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match="non-blank text"):
        check_all({option: value})


@pytest.mark.parametrize("option", NAMES)
@pytest.mark.parametrize("value", ["x" * MAX_NAME, "é" * (MAX_NAME // 2), "😀" * (MAX_NAME // 4)])
def test_a_name_may_be_255_bytes_long(option: str, value: str) -> None:
    assert getattr(check_all({option: value}), option) == value


@pytest.mark.parametrize("option", NAMES)
@pytest.mark.parametrize("value", ["x" * (MAX_NAME + 1), "é" * 128, "😀" * 64])
def test_a_name_over_255_bytes_is_refused(option: str, value: str) -> None:
    with pytest.raises(OptionError, match="at most 255 bytes of UTF-8"):
        check_all({option: value})


@pytest.mark.parametrize("option", NAMES)
@pytest.mark.parametrize("value", ["\ud800", "x" * 100 + "\udfff"])
def test_a_name_that_utf8_cannot_carry_is_refused(option: str, value: str) -> None:
    with pytest.raises(OptionError, match="encodable as UTF-8"):
        check_all({option: value})


@pytest.mark.parametrize("option", NAMES)
def test_a_name_is_kept_as_it_is(option: str) -> None:
    assert getattr(check_all({option: " Mixed Case "}), option) == " Mixed Case "


@pytest.mark.parametrize("value", ["{", "}", "a{b}c", "{default}"])
def test_a_queue_with_braces_is_refused(value: str) -> None:
    with pytest.raises(OptionError, match=r"^queue must be without braces"):
        check_all({"queue": value})


@pytest.mark.parametrize("option", ["task_id", "group"])
def test_other_names_may_have_braces(option: str) -> None:
    assert getattr(check_all({option: "a{b}c"}), option) == "a{b}c"


@pytest.mark.parametrize("value", [f"g:{UUID}", f"a:b:{UUID}", f"g:{UUID.upper()}"])
def test_a_group_that_looks_like_a_staged_set_is_refused(value: str) -> None:
    with pytest.raises(OptionError, match="does not end in a colon and a UUID"):
        check_all({"group": value})


@pytest.mark.parametrize("value", ["user:7", f"{UUID}:mail", "a:" + "x" * 36, f"prefix-{UUID}"])
def test_a_group_may_have_colons_and_dashes(value: str) -> None:
    assert check_all({"group": value}).group == value


def test_a_group_may_be_a_uuid_by_itself() -> None:
    assert check_all({"group": UUID}).group == UUID


@given(st.text())
def test_a_name_is_accepted_as_it_is_or_refused(text: str) -> None:
    fits = bool(text.strip()) and len(text.encode()) <= MAX_NAME
    assert _accepts(text) == fits


def _accepts(text: str) -> bool:
    try:
        return check_name("type", text) == text
    except OptionError:
        return False


# -- numbers and durations -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, MAX_RETRY + 1, True, False, 1.0, "3"])
def test_a_retry_limit_that_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(
        OptionError, match=r"^max_retry must be a whole number from 0 to 2147483647"
    ):
        check_all({"max_retry": value})


@pytest.mark.parametrize("value", [0, 1, MAX_RETRY])
def test_a_retry_limit_is_any_count_that_fits_the_wire(value: int) -> None:
    assert check_all({"max_retry": value}).max_retry == value


@pytest.mark.parametrize("option", DURATIONS + DURATIONS_OR_ZERO)
@pytest.mark.parametrize(
    "value",
    [
        -SECOND,
        -timedelta(microseconds=1),
        timedelta(microseconds=1),
        timedelta(milliseconds=500),
        timedelta(microseconds=999_999),
        timedelta.min,
    ],
)
def test_a_negative_or_sub_second_duration_is_refused(option: str, value: timedelta) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be a timedelta of at least a second"):
        check_all({option: value})


@pytest.mark.parametrize("option", DURATIONS + DURATIONS_OR_ZERO)
@pytest.mark.parametrize("value", [5, 5.0, "5s", True, NOON])
def test_a_duration_that_is_no_timedelta_is_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match="timedelta"):
        check_all({option: value})


@pytest.mark.parametrize(
    ("value", "example"), [(30, "30"), (0.5, "0.5"), ("30s", "30"), (True, "30")]
)
def test_a_duration_that_is_no_timedelta_is_shown_as_it_should_be(
    value: object, example: str
) -> None:
    with pytest.raises(OptionError, match=rf"timedelta\(seconds={example}\) for instance, got "):
        check_all({"timeout": value})


@pytest.mark.parametrize("value", [-1, -0.5, float("nan")])
def test_a_number_that_is_no_duration_is_no_example_of_one(value: float) -> None:
    with pytest.raises(OptionError, match="a hundred years, or zero, got "):
        check_all({"process_in": value})


@pytest.mark.parametrize("option", DURATIONS)
def test_zero_is_no_timeout_and_no_lock_time(option: str) -> None:
    with pytest.raises(OptionError, match="must be a timedelta of at least a second"):
        check_all({option: timedelta()})


@pytest.mark.parametrize("option", DURATIONS_OR_ZERO)
def test_zero_is_a_delay_and_a_retention(option: str) -> None:
    assert getattr(check_all({option: timedelta()}), option) == timedelta()


@pytest.mark.parametrize("option", [*DURATIONS, "retention"])
def test_a_fraction_above_a_second_rounds_up(option: str) -> None:
    options = check_all({option: timedelta(seconds=1, microseconds=1)})
    assert getattr(options, option) == timedelta(seconds=2)


def test_a_delay_is_not_rounded_before_it_is_an_instant() -> None:
    delay = timedelta(seconds=1, microseconds=1)
    assert check_all({"process_in": delay}).process_in == delay


@pytest.mark.parametrize("option", DURATIONS + DURATIONS_OR_ZERO)
@pytest.mark.parametrize("value", [timedelta.max, timedelta(days=9999 * 366)], ids=str)
def test_a_duration_beyond_every_calendar_is_refused(option: str, value: timedelta) -> None:
    with pytest.raises(OptionError, match="timedelta"):
        check_all({option: value})


@given(st.timedeltas(min_value=SECOND, max_value=timedelta(days=100_000)))
def test_whole_seconds_never_end_early_nor_a_second_late(duration: timedelta) -> None:
    late = SECOND * whole_seconds(duration) - duration
    assert timedelta() <= late < SECOND


# -- instants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", INSTANTS)
@pytest.mark.parametrize("value", [NAIVE, 1_700_000_000, "2026-01-01", NOON.date(), SECOND])
def test_an_instant_without_time_zone_is_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be a datetime with a time zone"):
        check_all({option: value})


@pytest.mark.parametrize("option", INSTANTS)
@pytest.mark.parametrize(
    "value",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1960, 1, 1, tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
)
def test_an_instant_that_the_wire_reads_as_never_is_refused(option: str, value: datetime) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be after the start of 1970"):
        check_all({option: value})


@pytest.mark.parametrize("option", INSTANTS)
def test_an_instant_becomes_utc(option: str) -> None:
    east = NOON.astimezone(timezone(timedelta(hours=8)))
    assert getattr(check_all({option: east}), option).isoformat() == "2026-01-01T12:00:00+00:00"


@pytest.mark.parametrize("option", INSTANTS)
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-1))], ids=str)
def test_an_instant_at_the_end_of_the_calendar_is_refused(option: str, zone: timezone) -> None:
    with pytest.raises(OptionError, match=option):
        check_all({option: datetime.max.replace(tzinfo=zone)})


def test_both_process_times_are_refused() -> None:
    with pytest.raises(OptionError, match="process_in must be left out when process_at is given"):
        check_all({"process_at": NOON, "process_in": SECOND})


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [5, "a=b", [("a", "b")], {"a": 1}, {1: "b"}, {"a": b"b"}, {"a": None}],
    ids=repr,
)
def test_headers_that_do_not_map_text_to_text_are_refused(value: object) -> None:
    with pytest.raises(OptionError, match=r"^headers must be a mapping of text to text"):
        check_all({"headers": value})


@pytest.mark.parametrize("value", [{"\ud800": "b"}, {"a": "\ud800"}], ids=["key", "value"])
def test_headers_that_utf8_cannot_carry_are_refused(value: Mapping[str, str]) -> None:
    with pytest.raises(OptionError, match=r"^headers must be encodable as UTF-8"):
        check_all({"headers": value})


def test_headers_may_be_empty_texts() -> None:
    assert check_all({"headers": {"": ""}}).headers == {"": ""}


def test_headers_are_copied() -> None:
    given_headers = {"a": "1"}
    options = check_all({"headers": given_headers})
    given_headers["a"] = "2"
    assert options.headers == {"a": "1"}


# -- the whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("max_retries", "max_retry"),
        ("que", "queue"),
        ("header", "headers"),
        ("process_on", "process_in"),
    ],
)
def test_an_unknown_option_is_answered_with_the_closest(wrong: str, right: str) -> None:
    with pytest.raises(TypeError, match=rf"^unknown option '{wrong}'; did you mean '{right}'\?$"):
        check_all({wrong: 1})


def test_an_unknown_option_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(
        TypeError, match="unknown option 'xyz'; there are queue, task_id, max_retry"
    ):
        check_all({"xyz": 1})


def test_none_counts_as_not_given() -> None:
    assert check_all({"queue": None, "process_at": NOON, "process_in": None}) == Options(
        process_at=NOON
    )


def test_an_unknown_option_is_refused_even_without_value() -> None:
    with pytest.raises(TypeError, match="did you mean"):
        check_all({"quue": None})


def test_nothing_given_is_no_options() -> None:
    assert check_all({}) is NO_OPTIONS


def test_the_call_wins_over_the_task() -> None:
    merged = merge(check_all({"queue": "a", "max_retry": 1}), check_all({"queue": "b"}))
    assert merged == Options(queue="b", max_retry=1)


def test_headers_merge_key_by_key() -> None:
    merged = merge(check_all({"headers": {"a": "1", "b": "1"}}), check_all({"headers": {"b": "2"}}))
    assert merged.headers == {"a": "1", "b": "2"}


def test_a_later_delay_replaces_an_instant() -> None:
    merged = merge(check_all({"process_at": NOON}), check_all({"process_in": SECOND}))
    assert merged == Options(process_in=SECOND)


def test_a_later_instant_replaces_a_delay() -> None:
    merged = merge(check_all({"process_in": SECOND}), check_all({"process_at": NOON}))
    assert merged == Options(process_at=NOON)


def test_a_zero_given_later_wins() -> None:
    merged = merge(
        check_all({"max_retry": 5, "retention": SECOND}),
        check_all({"max_retry": 0, "retention": timedelta()}),
    )
    assert merged == Options(max_retry=0, retention=timedelta())


def test_merging_with_nothing_changes_nothing() -> None:
    options = check_all({"queue": "a"})
    assert merge(options, NO_OPTIONS) is options
    assert merge(NO_OPTIONS, options) is options
