"""Bearer tokens in ``Authorization`` headers."""

import pytest

from member.callers import bearer_token


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer abc.def", "abc.def"),
        ("bearer abc", "abc"),
        ("BEARER   abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("", ""),
        ("abc", ""),
        ("Basic abc", ""),
        ("Bearerabc", ""),
        (" Bearer abc", ""),
    ],
)
def test_an_authorization_header_holds_a_token_or_none(authorization: str, token: str) -> None:
    assert bearer_token(authorization) == token
