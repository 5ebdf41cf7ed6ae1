"""A task's header names its place in a record, and its end makes a report."""

import pytest

from pyasynq.core.outcome import Event
from pyasynq.core.report import (
    HEADER,
    LONGEST_ERROR,
    Place,
    Report,
    Result,
    header_of,
    is_for_others,
    pack_output,
    place_of,
    queue_of,
    report_on,
    unpack_output,
)
from tests.support.factories import a_message, a_pending

PLACE = Place(kind="flow", queue="a/b {c}", id="ü:1", node=3, member=1)


def test_a_place_comes_back_from_its_header() -> None:
    message = a_message()
    message.headers[HEADER] = header_of(PLACE)
    assert place_of(message) == PLACE


@pytest.mark.parametrize("text", ["", "x", "{}", '["planet", "q", "1"]', '["flow", 1, "1"]'])
def test_a_header_that_says_nothing_known_is_no_place(text: str) -> None:
    message = a_message()
    message.headers[HEADER] = text
    assert place_of(message) is None


@pytest.mark.parametrize(
    ("event", "result"),
    [
        ("succeeded", "succeeded"),
        ("archived", "failed"),
        ("expired", "failed"),
        ("revoked", "skipped"),
    ],
)
def test_a_final_outcome_is_reported(event: Event, result: Result) -> None:
    report = report_on(PLACE, event, output=b"\n1", error="boom")
    output = b"\n1" if result == "succeeded" else b""
    error = "" if result == "succeeded" else "boom"
    assert report == Report(place=PLACE, result=result, output=output, error=error)


@pytest.mark.parametrize("event", ["retried", "recovered"])
def test_nothing_is_reported_of_a_task_that_runs_again(event: Event) -> None:
    assert report_on(PLACE, event) is None


def test_a_report_has_the_start_of_a_long_error() -> None:
    report = report_on(PLACE, "archived", error="x" * 1000 + "\ud800")
    assert report is not None
    assert report.error == "x" * LONGEST_ERROR


@pytest.mark.parametrize("codecs", ["", "zlib,aes"])
def test_an_output_comes_back_with_the_names_of_its_codecs(codecs: str) -> None:
    assert unpack_output(pack_output(codecs, b"a\nb")) == (codecs, b"a\nb")


def test_an_entry_is_carried_out_in_the_queue_of_its_task_or_record() -> None:
    report = Report(place=PLACE, result="succeeded")
    assert [queue_of(report), queue_of(a_pending(queue="r"))] == ["a/b {c}", "r"]


def test_a_report_may_write_to_others_if_its_record_spreads() -> None:
    here = Report(place=Place(kind="flow", queue="q", id="1"), result="succeeded")
    spread = Report(place=Place(kind="flow", queue="q", id="1", spreads=True), result="succeeded")
    answers = [is_for_others(entry, "q") for entry in (here, spread, a_pending(queue="r"))]
    assert answers == [False, True, True]
