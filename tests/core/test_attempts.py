"""A failed try is stored within its bounds, whatever its error and traceback are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.attempts import (
    MAX_ATTEMPT_BYTES,
    MAX_BYTES,
    MOST_ATTEMPTS,
    Attempt,
    decode_attempts,
    record_attempt,
    shorten_middle,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

anything = st.text(st.characters(exclude_categories=[]))


def an_attempt(retried: int = 0, *, error: str = "boom", traceback: str = "") -> Attempt:
    failed_at = NOW + timedelta(minutes=retried)
    return Attempt(
        retried=retried, failed_at=failed_at, error=error, traceback=traceback, worker="h:1"
    )


def test_a_short_try_is_stored_as_it_is() -> None:
    attempt = an_attempt(3, traceback="Traceback\n  line\nValueError: boom\n")
    record = record_attempt(attempt, 5)
    assert (record.slot, decode_attempts([record.data])) == (3, (attempt,))


def test_all_tries_together_fit() -> None:
    assert MOST_ATTEMPTS * MAX_ATTEMPT_BYTES <= MAX_BYTES


@given(anything, anything, st.integers(1, 5_000))
def test_no_record_is_too_large_or_unreadable(error: str, line: str, times: int) -> None:
    record = record_attempt(an_attempt(error=error, traceback=f"{line}\n" * times), 5)
    assert len(record.data) <= MAX_ATTEMPT_BYTES
    assert len(decode_attempts([record.data])) == 1


@pytest.mark.parametrize("line", ["x", "é", "\0", "\U0001f600", "\ud800"])
def test_a_single_line_that_is_too_long_is_cut(line: str) -> None:
    record = record_attempt(an_attempt(traceback=line * 100_000), 5)
    assert MAX_ATTEMPT_BYTES / 8 < len(record.data) <= MAX_ATTEMPT_BYTES


def test_of_a_long_traceback_the_first_and_the_last_lines_stay() -> None:
    lines = [f"  frame {n}\n" for n in range(1000)]
    (attempt,) = decode_attempts([record_attempt(an_attempt(traceback="".join(lines)), 5).data])
    kept = attempt.traceback.splitlines(keepends=True)
    gap = next(n for n, line in enumerate(kept) if "…" in line)
    first, last = kept[:gap], kept[gap + 1 :]
    assert first == lines[: len(first)]
    assert last == lines[-len(last) :]
    assert len(last) > len(first) > 10
    assert kept[gap] == f"  … {1000 - len(first) - len(last)} lines …\n"


@given(st.text(st.sampled_from("ab\n"), max_size=200), st.integers(0, 100))
def test_a_shortened_text_has_at_most_the_given_length(text: str, most: int) -> None:
    shorter = shorten_middle(text, most)
    assert len(shorter) <= most or shorter == text == ""
    assert shorter == text or len(text) > most


def test_the_tries_are_sorted_by_their_time_and_what_is_broken_is_left_out() -> None:
    records = [record_attempt(an_attempt(n), 5).data for n in (2, 0, 1)]
    found = decode_attempts([*records, b"broken", None, b"{}", b""])
    assert [attempt.retried for attempt in found] == [0, 1, 2]


def test_a_new_try_takes_the_slot_of_the_oldest() -> None:
    assert [record_attempt(an_attempt(n), 3).slot for n in range(5)] == [0, 1, 2, 0, 1]
