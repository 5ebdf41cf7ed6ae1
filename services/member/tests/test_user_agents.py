"""What is kept of a program's own name: members see it, and anybody may have chosen it."""

import pytest

from member.callers import shown


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", ""),
        ("  Firefox/140 (X11)  ", "Firefox/140 (X11)"),
        ("a\r\nSet-Cookie: b\x1b[2K\x00\u202e\ud800", "aSet-Cookie: b[2K"),
        ("é" * 1000, "é" * 200),
    ],
)
def test_of_a_user_agent_is_kept_what_shows(said: str, kept: str) -> None:
    assert shown(said) == kept
