"""An entry knows its due ticks, and has the same id in every process."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq import OptionError, PeriodicTask, Task
from pyasynq.core.options import Options
from pyasynq.scheduler.entry import GRACE, CatchUp, Entry
from tests.support.clocks import NOON

MINUTE = timedelta(minutes=1)
TASK = Task("t", b"p")


def make_entry(
    spec: str = "* * * * *",
    task: Task = TASK,
    *,
    catch_up: CatchUp = "skip",
    location: tzinfo = UTC,
    **options: object,
) -> Entry:
    wanted = PeriodicTask(spec=spec, task=task, options=cast("Any", options))
    return Entry(wanted, location=location, catch_up=catch_up)


def start_entry(spec: str = "* * * * *", *, catch_up: CatchUp = "skip") -> Entry:
    entry = make_entry(spec, catch_up=catch_up)
    entry.start_after(NOON)
    return entry


# -- ids -------------------------------------------------------------------------------------------


def test_an_id_looks_like_a_uuid() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", make_entry().id)


def test_an_id_is_the_same_in_every_process() -> None:
    assert make_entry("@every 1m", Task("foo", b"bar"), queue="low", max_retry=3).id == (
        "fb220eef-6f52-1e0c-bc17-a35cb137ffae"
    )


class Nameless(tzinfo):
    """A zone without a name."""

    def utcoffset(self, _at: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, _at: datetime | None) -> timedelta:
        return timedelta(0)


def test_a_zone_without_a_name_is_the_same_in_every_process() -> None:
    one, other = Nameless(), Nameless()
    assert str(one) != str(other)
    assert make_entry(location=one).id == make_entry(location=other).id


def test_a_spec_that_is_no_valid_text_is_refused() -> None:
    with pytest.raises(OptionError, match="spec"):
        make_entry("\ud800")


def test_the_order_of_options_and_headers_does_not_count() -> None:
    one = make_entry(task=Task("t", headers={"a": "1", "b": "2"}), queue="q", max_retry=1)
    other = make_entry(task=Task("t", headers={"b": "2", "a": "1"}), max_retry=1, queue="q")
    assert one.id == other.id


DIFFERENT = {
    "plain": make_entry(),
    "spec": make_entry("*/2 * * * *"),
    "location": make_entry(location=ZoneInfo("Asia/Tokyo")),
    "type": make_entry(task=Task("u", b"p")),
    "payload": make_entry(task=Task("t", b"q")),
    "no payload": make_entry(task=Task("t")),
    "empty payload": make_entry(task=Task("t", b"")),
    "type and payload run together": make_entry(task=Task("tp", b"")),
    "header": make_entry(task=Task("t", b"p", headers={"a": "1"})),
    "option of the task": make_entry(task=Task("t", b"p", queue="low")),
    "option of the entry": make_entry(queue="low"),
    "name of a header": make_entry(task=Task("t", b"p", headers={"a=b": "c"})),
    "value of a header": make_entry(task=Task("t", b"p", headers={"a": "b=c"})),
    "end of a header's name": make_entry(task=Task("t", b"p", headers={"a\\": "b=c"})),
    "header of the entry": make_entry(headers={"a": "1"}),
    "two options": make_entry(queue="low", max_retry=3),
}


def test_everything_in_a_definition_counts() -> None:
    assert len({entry.id for entry in DIFFERENT.values()}) == len(DIFFERENT)


def test_catch_up_is_no_part_of_the_definition() -> None:
    assert make_entry(catch_up="all").id == make_entry(catch_up="skip").id


def test_a_tick_gives_its_task_the_same_id_in_every_process() -> None:
    assert start_entry().task_id(NOON + MINUTE) == start_entry().task_id(NOON + MINUTE)


def test_every_tick_gives_its_task_another_id() -> None:
    ids = {start_entry().task_id(NOON + n * MINUTE) for n in range(10)}
    assert len(ids) == 10


def test_options_of_the_entry_win_over_those_of_the_task() -> None:
    task = Task("t", b"p", queue="low", max_retry=1, headers={"a": "1"})
    merged = make_entry(task=task, queue="high", headers={"b": "2"}).merged
    assert (merged.queue, merged.max_retry) == ("high", 1)
    assert merged.headers == {"b": "2"}


@pytest.mark.parametrize(
    ("spec", "options", "error"),
    [
        ("60 * * * *", {}, OptionError),
        ("", {}, OptionError),
        ("* * * * *", {"max_retry": -1}, OptionError),
        ("* * * * *", {"retries": 1}, TypeError),
    ],
)
def test_a_definition_that_cannot_work_is_refused(
    spec: str, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make_entry(spec, **options)


def test_an_unknown_way_to_catch_up_is_refused() -> None:
    with pytest.raises(OptionError, match='"skip", "once" or "all"'):
        make_entry(catch_up=cast("CatchUp", "some"))


# -- due ticks -------------------------------------------------------------------------------------


def test_nothing_is_due_before_the_first_tick() -> None:
    assert start_entry().due(NOON + MINUTE - timedelta(microseconds=1)) is None


@pytest.mark.parametrize("catch_up", ["skip", "once", "all"])
def test_a_tick_is_due_when_it_has_come(catch_up: CatchUp) -> None:
    assert start_entry(catch_up=catch_up).due(NOON + MINUTE) == NOON + MINUTE


@pytest.mark.parametrize("catch_up", ["skip", "once", "all"])
def test_a_tick_is_due_once(catch_up: CatchUp) -> None:
    entry = start_entry(catch_up=catch_up)
    entry.mark_enqueued(NOON + MINUTE)
    assert entry.due(NOON + 1.5 * MINUTE) is None


def test_skip_drops_all_that_is_late() -> None:
    assert start_entry("@hourly").due(NOON + timedelta(hours=3) + GRACE) is None


def test_skip_does_not_drop_what_is_a_little_late() -> None:
    now = NOON + timedelta(hours=3) + GRACE - timedelta(seconds=1)
    assert start_entry("@hourly").due(now) == NOON + timedelta(hours=3)


def test_skip_goes_on_with_the_next_tick() -> None:
    entry = start_entry("@hourly")
    entry.skip_until(NOON + 90 * MINUTE)
    assert entry.upcoming == NOON + timedelta(hours=2)


def test_once_takes_the_latest_however_late() -> None:
    late = NOON + timedelta(days=100, minutes=59)
    assert start_entry("@hourly", catch_up="once").due(late) == NOON + timedelta(days=100)


def test_once_takes_the_tick_of_this_very_second() -> None:
    entry = start_entry("@every 1s", catch_up="once")
    assert entry.due(NOON + timedelta(seconds=2)) == NOON + timedelta(seconds=2)


def test_all_takes_the_oldest_first() -> None:
    entry = start_entry("@hourly", catch_up="all")
    assert entry.due(NOON + timedelta(days=100)) == NOON + timedelta(hours=1)


def test_every_counts_from_the_start_of_the_entry() -> None:
    entry = start_entry("@every 7m", catch_up="once")
    assert entry.due(NOON + timedelta(minutes=30)) == NOON + timedelta(minutes=28)


def test_every_counts_from_the_last_tick_that_any_scheduler_enqueued() -> None:
    entry = start_entry("@every 7m")
    entry.mark_enqueued(NOON + MINUTE)
    assert entry.upcoming == NOON + 8 * MINUTE


@given(
    spec=st.sampled_from(["* * * * *", "7 */5 * * *", "0 0 1 * *", "0 0 * * 1", "@every 97s"]),
    ahead_s=st.integers(0, 10_000_000),
)
def test_the_latest_tick_is_the_last_before_the_next(spec: str, ahead_s: int) -> None:
    entry, now = (
        start_entry(spec, catch_up="once"),
        NOON + timedelta(seconds=ahead_s, microseconds=5),
    )
    latest = entry.due(now) or NOON
    entry.mark_enqueued(latest)
    assert latest <= now
    assert entry.upcoming is not None
    assert entry.upcoming > now


def test_an_entry_that_never_comes_is_never_due() -> None:
    entry = start_entry("0 0 30 2 *")
    assert (entry.due(NOON + timedelta(days=3650)), entry.upcoming) == (None, None)


# -- what inspectors see ---------------------------------------------------------------------------


def test_an_entry_is_shown_as_it_was_defined() -> None:
    entry = make_entry("@hourly", Task("t", b"p", queue="low"), max_retry=3)
    info = entry.info(NOON)
    assert (info.id, info.spec, info.task) == (entry.id, "@hourly", entry.task)
    assert info.options == Options(max_retry=3)
    assert info.next == NOON + timedelta(hours=1)


def test_an_entry_that_never_ran_says_so() -> None:
    assert start_entry().info(NOON).prev is None


def test_an_entry_that_never_comes_says_so() -> None:
    assert start_entry("0 0 30 2 *").info(NOON).next is None


def test_the_last_tick_is_shown() -> None:
    entry = start_entry("@hourly")
    entry.mark_enqueued(NOON + timedelta(hours=1))
    info = entry.info(NOON)
    assert (info.prev, info.next) == (NOON + timedelta(hours=1), NOON + timedelta(hours=2))


def test_a_last_tick_that_redis_knew_is_shown() -> None:
    entry = make_entry("@hourly")
    entry.start_after(NOON, known=True)
    assert entry.info(NOON).prev == NOON


def test_an_earlier_start_of_an_entry_is_not_shown_as_a_tick() -> None:
    entry = make_entry("@hourly")
    entry.start_after(NOON + timedelta(seconds=1), known=True)
    assert entry.info(NOON).prev is None


def test_a_last_tick_is_remembered_beyond_the_next() -> None:
    assert start_entry("@yearly").ttl_s(datetime(2026, 1, 1, tzinfo=UTC)) == (365 + 90) * 86_400
