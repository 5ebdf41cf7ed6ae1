"""Tokens of verification links, and of sessions."""

import hmac
import string
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from member.tokens import (
    TOKEN_CHARACTERS,
    AccessClaim,
    AccessMint,
    RefreshClaim,
    RefreshMint,
    TokenMint,
    fingerprint,
    link_id,
)

ID = UUID(int=7)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)
ACCESS = AccessClaim(member_id=UUID(int=1), session_id=UUID(int=2))
ACCESS_TOKEN = AccessMint(b"key").token(ACCESS, now=NOW, expires_at=LATER)
REFRESH = RefreshClaim(session_id=ID, generation=3)
REFRESH_TOKEN = RefreshMint(b"key").token(REFRESH)
URL_CHARACTERS = string.ascii_letters + string.digits + "-_"


@given(verification=st.uuids(), email=st.emails())
def test_a_token_names_its_verification_and_fits_a_url(verification: UUID, email: str) -> None:
    token = TokenMint(b"key").token(verification, email)
    assert link_id(token) == verification
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
def test_a_text_that_is_no_token_names_no_link(text: str) -> None:
    assert link_id(text) is None


@given(text=st.text(min_size=64, max_size=64))
def test_a_text_as_long_as_a_token_breaks_nothing(text: str) -> None:
    assert link_id(text) is None or text.isascii()


def test_a_fingerprint_does_not_show_the_token() -> None:
    token = TokenMint(b"key").token(ID, "a@b.c")
    assert fingerprint(token) == fingerprint(token)
    assert token.encode() not in fingerprint(token)


@given(session=st.uuids(), generation=st.integers(min_value=0, max_value=2**32 - 1))
def test_a_refresh_token_says_what_it_is_of_and_fits_a_url(session: UUID, generation: int) -> None:
    claim = RefreshClaim(session, generation)
    token = RefreshMint(b"key").token(claim)
    assert RefreshMint(b"key").read(token) == claim
    assert len(token) == TOKEN_CHARACTERS
    assert set(token) <= set(URL_CHARACTERS)


def test_a_refresh_token_is_made_the_same_again() -> None:
    assert RefreshMint(b"key").token(REFRESH) == REFRESH_TOKEN


def test_a_refresh_token_depends_on_key_session_and_generation() -> None:
    tokens = {
        REFRESH_TOKEN,
        RefreshMint(b"other").token(REFRESH),
        RefreshMint(b"key").token(RefreshClaim(UUID(int=8), 3)),
        RefreshMint(b"key").token(RefreshClaim(ID, 4)),
    }
    assert len(tokens) == 4


@given(place=st.integers(min_value=0, max_value=63), character=st.sampled_from(URL_CHARACTERS))
def test_a_refresh_token_with_any_character_changed_is_none(place: int, character: str) -> None:
    token = REFRESH_TOKEN[:place] + character + REFRESH_TOKEN[place + 1 :]
    assert (RefreshMint(b"key").read(token) is not None) == (token == REFRESH_TOKEN)


@given(text=st.text() | st.text(min_size=64, max_size=64))
def test_a_text_that_is_no_refresh_token_is_not_read(text: str) -> None:
    assert RefreshMint(b"key").read(text) is None


def test_a_refresh_token_of_another_key_or_purpose_says_nothing() -> None:
    assert RefreshMint(b"other").read(REFRESH_TOKEN) is None
    assert RefreshMint(b"key").read(TokenMint(b"key").token(ID, "a@b.c")) is None


@given(member=st.uuids(), session=st.uuids())
def test_an_access_token_says_whose_it_is(member: UUID, session: UUID) -> None:
    claim = AccessClaim(member, session)
    token = AccessMint(b"key").token(claim, now=NOW, expires_at=LATER)
    assert AccessMint(b"key").read(token, now=NOW) == claim


def test_an_access_token_is_good_until_it_expires() -> None:
    mint, moment = AccessMint(b"key"), timedelta(microseconds=1)
    assert mint.read(ACCESS_TOKEN, now=LATER - moment) == ACCESS
    assert mint.read(ACCESS_TOKEN, now=LATER) is None


def test_an_access_token_of_another_key_says_nothing() -> None:
    assert AccessMint(b"other").read(ACCESS_TOKEN, now=NOW) is None


def sealed(**claims: object) -> str:
    """Return a token with *claims* and the service's seal."""
    said = {
        "aud": "member.v1",
        "sub": str(ACCESS.member_id),
        "sid": str(ACCESS.session_id),
        "exp": LATER.timestamp(),
        **claims,
    }
    present = {name: value for name, value in said.items() if value is not None}
    key = hmac.digest(b"key", b"member.v1 access\0", "sha256")
    return jwt.encode(present, key, "HS256")


def test_the_seal_of_these_tests_is_that_of_the_service() -> None:
    assert AccessMint(b"key").read(sealed(), now=NOW) == ACCESS


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "member.v2"},
        {"aud": None},
        {"aud": ["other"]},
        {"sub": None},
        {"sub": "alice"},
        {"sid": None},
        {"sid": "1"},
        {"exp": None},
    ],
    ids=str,
)
def test_an_access_token_that_claims_anything_else_says_nothing(claims: dict[str, object]) -> None:
    assert AccessMint(b"key").read(sealed(**claims), now=NOW) is None


@given(text=st.text())
def test_a_text_that_is_no_access_token_is_not_read(text: str) -> None:
    assert AccessMint(b"key").read(text, now=NOW) is None


@given(header=st.binary(max_size=40), claims=st.binary(max_size=40))
def test_a_text_that_looks_like_an_access_token_breaks_nothing(
    header: bytes, claims: bytes
) -> None:
    parts = [urlsafe_b64encode(part).decode() for part in (header, claims)]
    assert AccessMint(b"key").read(".".join([*parts, "AAAA"]), now=NOW) is None
