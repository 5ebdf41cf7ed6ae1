"""User agents: members see them, and any caller may choose any text."""

import pytest

from member.callers import clean_user_agent


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", ""),
        ("  Firefox/140 (X11)  ", "Firefox/140 (X11)"),
        ("a\r\nSet-Cookie: b\x1b[2K\x00\u202e\ud800", "aSet-Cookie: b[2K"),
        ("é" * 1000, "é" * 200),
    ],
)
def test_only_visible_characters_of_a_user_agent_are_kept(said: str, kept: str) -> None:
    assert clean_user_agent(said) == kept
