"""Cron texts are due when asynq's cron library says, also where clocks change."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from subprocess import run
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyasynq.core.cron import Schedule, parse
from pyasynq.core.errors import OptionError
from tests.interop import golden

CASES = golden.lines("cron")
GOOD = [case for case in CASES if "next" in case]
BAD = [case for case in CASES if "error" in case]
RUNS = 4

ZONES = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Europe/London",
    "Pacific/Chatham",
]


def named(case: dict[str, Any]) -> str:
    return f"{case['spec']} | {case['zone']} | {case['start']}"


def runs_after(schedule: Schedule, start: datetime) -> list[datetime | None]:
    """Return the next runs; the last item is None if there are no more."""

    def following() -> Iterator[datetime | None]:
        at: datetime | None = start
        while at is not None:
            at = schedule.next(at)
            yield at

    return list(islice(following(), RUNS))


def python_answer(case: dict[str, Any]) -> list[datetime | None] | None:
    """Return the next runs of a case in Python; None if Python refuses the text."""
    try:
        schedule = parse(case["spec"], location=ZoneInfo(case["zone"]))
    except OptionError:
        return None
    return runs_after(schedule, datetime.fromisoformat(case["start"]))


def go_answer(case: dict[str, Any]) -> list[datetime | None] | None:
    """Return what Go answered."""
    runs = case.get("next")
    return runs and [run and datetime.fromisoformat(run) for run in runs]


@pytest.mark.parametrize("case", GOOD, ids=named)
def test_a_text_is_due_when_go_says(case: dict[str, Any]) -> None:
    assert python_answer(case) == go_answer(case)


@pytest.mark.parametrize("case", BAD, ids=named)
def test_a_text_that_go_refuses_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="spec must be"):
        parse(case["spec"])


def parts(lowest: int, highest: int, names: str = "") -> st.SearchStrategy[str]:
    """Return a strategy for parts of a field, most of them valid."""
    number = st.integers(lowest, highest).map(str)
    value = st.one_of(number, st.sampled_from(names.split())) if names else number
    ranges = st.tuples(value, value).map("-".join)
    steps = st.integers(1, highest + 1).map(str)
    spans = st.one_of(st.sampled_from("*?"), value, ranges)
    return st.one_of(st.just("*"), spans, st.tuples(spans, steps).map("/".join))


def fields(lowest: int, highest: int, names: str = "") -> st.SearchStrategy[str]:
    return st.lists(parts(lowest, highest, names), min_size=1, max_size=3).map(",".join)


specs = st.tuples(
    fields(0, 59),
    fields(0, 23),
    fields(1, 31),
    fields(1, 12, "jan FEB Oct"),
    fields(0, 6, "sun MON Fri"),
).map(" ".join)
starts = st.datetimes(
    datetime(2012, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2037, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(datetime.isoformat)
cases = st.lists(
    st.fixed_dictionaries({"spec": specs, "zone": st.sampled_from(ZONES), "start": starts}),
    min_size=10,
    max_size=50,
)


@settings(max_examples=40)  # of ten to fifty cases each
@given(cases)
def test_any_text_in_any_zone_is_due_when_go_says(
    go_program: Path, cases: list[dict[str, Any]]
) -> None:
    asked = "".join(json.dumps(case) + "\n" for case in cases)
    lines = run([go_program, "cron"], input=asked, capture_output=True, text=True, check=True)
    answered = [go_answer(json.loads(line)) for line in lines.stdout.splitlines()]
    assert [python_answer(case) for case in cases] == answered
