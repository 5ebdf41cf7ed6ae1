"""A terminal obeys nothing in text that others have chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.safe_text import safe


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    assert all(it.isprintable() or it.isspace() for it in safe(text))
    assert not set(safe(text)) & set(map(chr, [*range(32), *range(127, 160)]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 漢字 é", "plain 漢字 é"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("\u202eabc", r"\u202eabc"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("\udc80", r"\x80"),
        ("\ud800", r"\ud800"),
        ("a\nb\tc", r"a\nb\tc"),
    ],
)
def test_what_is_not_printed_is_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_lines_and_tabs_may_be_kept() -> None:
    assert safe("a\r\nb\tc\rd", lines=True) == "a\nb\tc\\rd"
