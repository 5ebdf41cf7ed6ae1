"""Messages are encoded and decoded; bytes that cannot be decoded are poison."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.errors import PoisonError
from pyasynq.core.message import (
    TaskMessage,
    decode,
    encode,
    instant,
    safe_text,
    with_outcome,
)

NOON = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
NOON_S = 1_767_268_800

texts = st.text()  # without surrogates
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
messages = st.builds(
    TaskMessage,
    type=texts,
    payload=st.binary(),
    id=st.text(min_size=1),
    queue=texts,
    retry=int32s,
    retried=int32s,
    error_msg=texts,
    timeout=int64s,
    deadline=int64s,
    unique_key=texts,
    last_failed_at=int64s,
    retention=int64s,
    completed_at=int64s,
    group_key=texts,
    headers=st.dictionaries(texts, texts),
)


@given(messages)
def test_a_message_comes_back_as_it_went(message: TaskMessage) -> None:
    assert decode(encode(message)) == message


@given(st.binary())
def test_bytes_are_a_message_with_an_id_or_poison(data: bytes) -> None:
    assert _id_or_poison(data)


def _id_or_poison(data: bytes) -> bool:
    try:
        return bool(decode(data).id)
    except PoisonError as error:
        return error.size == len(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xff\xff", b"\x0a\x05t", b"\x0a\x01\xff\x1a\x01i", b"\x0a\x01t"],
    ids=["no bytes", "no message", "cut off", "no UTF-8", "no id"],
)
def test_bytes_that_are_no_task_are_poison(data: bytes) -> None:
    with pytest.raises(PoisonError, match=f"of {len(data)} bytes"):
        decode(data)


def test_a_revision_changes_only_what_is_given() -> None:
    message = TaskMessage(id="1", retry=3, headers={"a": "1"})
    assert with_outcome(message) == message


def test_a_revision_leaves_the_original_alone() -> None:
    message = TaskMessage(id="1")
    with_outcome(message, retried=1, error="boom", failed_at=NOON, completed_at=NOON)
    assert message == TaskMessage(id="1")


def test_a_revision_holds_whole_seconds() -> None:
    assert with_outcome(
        TaskMessage(id="1"), retried=2, error="e", failed_at=NOON, completed_at=NOON
    ) == (TaskMessage(id="1", retried=2, error_msg="e", last_failed_at=NOON_S, completed_at=NOON_S))


def test_a_revision_can_set_back_to_zero() -> None:
    message = TaskMessage(id="1", retried=2, error_msg="e")
    assert with_outcome(message, retried=0, error="") == TaskMessage(id="1")


def test_an_error_text_is_cut_at_8192_characters() -> None:
    assert safe_text("x" * 10_000) == "x" * 8192


def test_an_error_text_that_utf8_cannot_carry_is_repaired() -> None:
    assert safe_text("a\ud800b") == "a?b"


def test_an_error_text_keeps_what_utf8_can_carry() -> None:
    assert safe_text("é 😀 \x00") == "é 😀 \x00"


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_every_error_text_can_be_encoded(text: str) -> None:
    message = with_outcome(TaskMessage(id="1"), error=text)
    assert decode(encode(message)).error_msg == safe_text(text)


@pytest.mark.parametrize(("seconds", "year"), [(2**62, 9999), (-(2**62), 1970)])
def test_seconds_beyond_the_calendar_are_its_nearest_instant(seconds: int, year: int) -> None:
    assert instant(seconds).year == year


def test_seconds_are_an_instant_in_utc() -> None:
    assert instant(NOON_S) == datetime(2026, 1, 1, 12, tzinfo=UTC)
