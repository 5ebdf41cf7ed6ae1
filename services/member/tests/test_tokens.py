"""Tokens of verification links."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from member.tokens import TOKEN_CHARACTERS, TokenMint, fingerprint, verification_id

ID = UUID(int=7)


@given(verification=st.uuids(), email=st.emails())
def test_a_token_names_its_verification_and_fits_a_url(verification: UUID, email: str) -> None:
    token = TokenMint(b"key").token(verification, email)
    assert verification_id(token) == verification
    assert len(token) == TOKEN_CHARACTERS == 64
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_retry_makes_the_same_token() -> None:
    assert TokenMint(b"key").token(ID, "a@b.c") == TokenMint(b"key").token(ID, "a@b.c")


def test_a_token_depends_on_key_verification_and_address() -> None:
    tokens = {
        TokenMint(b"key").token(ID, "a@b.c"),
        TokenMint(b"other").token(ID, "a@b.c"),
        TokenMint(b"key").token(UUID(int=8), "a@b.c"),
        TokenMint(b"key").token(ID, "b@b.c"),
    }
    assert len(tokens) == 4


@given(text=st.text())
def test_what_is_no_token_names_nothing(text: str) -> None:
    assert verification_id(text) is None


@given(text=st.text(min_size=64, max_size=64))
def test_what_is_as_long_as_a_token_breaks_nothing(text: str) -> None:
    assert verification_id(text) is None or text.isascii()


def test_a_fingerprint_does_not_show_the_token() -> None:
    token = TokenMint(b"key").token(ID, "a@b.c")
    assert fingerprint(token) == fingerprint(token)
    assert token.encode() not in fingerprint(token)
