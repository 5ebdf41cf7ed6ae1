"""A task is checked when it is made, and is a value after that."""

from datetime import timedelta
from typing import Any, cast

import pytest

from pyasynq import OptionError, Task
from pyasynq.core.options import NO_OPTIONS, Options


def test_a_task_holds_what_it_was_made_of() -> None:
    task = Task("t", b"p", headers={"a": "1"}, queue="q", max_retry=3)
    assert (task.type, task.payload, task.headers) == ("t", b"p", {"a": "1"})
    assert task.options == Options(queue="q", max_retry=3)


def test_a_task_needs_only_a_type() -> None:
    task = Task("t")
    assert (task.payload, task.headers, task.options) == (None, {}, NO_OPTIONS)


@pytest.mark.parametrize("type_", ["", "  ", 5, None, b"t"])
def test_a_type_that_is_no_text_or_blank_is_refused(type_: object) -> None:
    with pytest.raises(OptionError, match=r"^type must be non-blank text"):
        Task(cast("Any", type_))


def test_a_type_over_255_bytes_is_refused() -> None:
    with pytest.raises(OptionError, match="at most 255 bytes"):
        Task("t" * 256)


def test_a_type_that_utf8_cannot_carry_is_refused() -> None:
    with pytest.raises(OptionError, match="type must be encodable as UTF-8"):
        Task("\ud800")


@pytest.mark.parametrize("payload", ["text", 5, {"a": 1}, [1]])
def test_a_payload_that_is_no_bytes_is_refused(payload: object) -> None:
    with pytest.raises(OptionError, match=r"^payload must be bytes or None"):
        Task("t", cast("Any", payload))


def test_no_payload_and_an_empty_one_differ() -> None:
    assert (Task("t").payload, Task("t", b"").payload) == (None, b"")


def test_a_payload_that_can_change_is_copied() -> None:
    payload = bytearray(b"abc")
    task = Task("t", cast("Any", payload))
    payload[0] = 0
    assert task.payload == b"abc"


def test_a_memoryview_is_copied_to_bytes() -> None:
    assert Task("t", cast("Any", memoryview(b"abc"))).payload == b"abc"


def test_headers_that_change_later_do_not_change_the_task() -> None:
    headers = {"a": "1"}
    task = Task("t", headers=headers)
    headers["a"] = "2"
    assert task.headers == {"a": "1"}


def test_headers_that_are_no_text_are_refused() -> None:
    with pytest.raises(OptionError, match=r"^headers must be a mapping of text to text"):
        Task("t", headers=cast("Any", {"a": 1}))


def test_a_bad_option_is_refused_where_the_task_is_made() -> None:
    with pytest.raises(OptionError, match=r"^timeout must be"):
        Task("t", timeout=timedelta(milliseconds=1))


def test_an_unknown_option_says_which_was_meant() -> None:
    with pytest.raises(TypeError, match="unknown option 'quue'; did you mean 'queue'"):
        Task("t", **cast("Any", {"quue": "q"}))


@pytest.mark.parametrize(
    ("payload", "shown"),
    [(None, "<Task 't', no payload>"), (b"secret", "<Task 't', 6 bytes>")],
)
def test_a_task_shows_no_payload(payload: bytes | None, shown: str) -> None:
    assert repr(Task("t", payload)) == shown


def test_text_as_payload_is_refused_with_the_remedy() -> None:
    with pytest.raises(OptionError, match=r"text\.encode\(\).*got 'bob'"):
        Task("t", "bob")  # type: ignore[arg-type]


def test_a_refused_duration_is_shown_in_seconds() -> None:
    with pytest.raises(OptionError, match=r"got -1 s$"):
        Task("t", timeout=timedelta(seconds=-1))
