"""Forged access tokens prove nothing."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import jwt
import pytest

from member.callers import Caller
from member.errors import AccessTokenError
from member.service import MemberService
from member.tokens import AccessClaim, AccessMint
from services.member.tests.doubles import RULES, FakeClock
from services.member.tests.scenes import Scenes, alice_in_a_session

# Other tests cover the differences between databases.
pytestmark = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)


@pytest.fixture
async def alice(scenes: Scenes) -> Caller:
    return await scenes.play(alice_in_a_session)


def resealed(token: str, *, key: bytes, algorithm: str, **claims: object) -> str:
    """Return *token* with other *claims*, sealed with another *key*."""
    said = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**said, **claims}, key, algorithm)


def unsigned(token: str) -> str:
    """Return *token* without a signature, and with a header that says it needs none."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{header.decode().rstrip('=')}.{token.split('.')[1]}."


def tampered(token: str, part: int) -> str:
    """Return *token* with one character in the middle of a *part* changed."""
    parts = token.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


Forge: TypeAlias = Callable[[str], str]

FORGERIES: dict[str, Forge] = {
    "nothing": lambda _: "",
    "no token": lambda _: "nonsense",
    "alg none": unsigned,
    "alg none, with the signature": lambda t: unsigned(t) + t.split(".")[2],
    "another key": lambda t: resealed(t, key=b"k" * 32, algorithm="HS256"),
    "the key of all tokens": lambda t: resealed(t, key=RULES.token_key, algorithm="HS256"),
    "another algorithm": lambda t: resealed(t, key=b"k" * 64, algorithm="HS512"),
    "header changed": lambda t: tampered(t, 0),
    "claims changed": lambda t: tampered(t, 1),
    "signature changed": lambda t: tampered(t, 2),
    "signature cut off": lambda t: t.rpartition(".")[0] + ".",
    "twice": lambda t: t + t,
    "nested": lambda t: base64.urlsafe_b64encode(b"[" * 6000).decode() + t[t.index(".") :],
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_access_token_is_refused(
    service: MemberService, alice: Caller, forge: Forge
) -> None:
    with pytest.raises(AccessTokenError):
        await service.sessions.viewer(replace(alice, access_token=forge(alice.access_token)))


async def test_the_session_of_one_member_proves_no_other(
    service: MemberService, alice: Caller, clock: FakeClock
) -> None:
    mint = AccessMint(RULES.token_key)
    own = mint.read(alice.access_token, now=clock.now)
    assert own is not None
    forged = mint.token(
        AccessClaim(UUID(int=7), own.session_id),
        now=clock.now,
        expires_at=clock.now + timedelta(hours=1),
    )
    with pytest.raises(AccessTokenError):
        await service.sessions.viewer(replace(alice, access_token=forged))
