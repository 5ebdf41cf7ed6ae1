"""The tokens of members; none can be computed from the database alone.

Links in mails
    A token is the id of its link (random, 128 bits) and an HMAC-SHA256 of id and
    address under the service's key. Only its SHA-256 is stored. A worker that repeats a
    task after a crash makes the same token again, so the second mail carries the link of
    the first.
Refresh tokens
    The session's id, its generation, and an HMAC of both; none of it is stored. The
    service recognizes an old one as genuine, and a client that asks again gets the same
    token again.
Access tokens
    JSON Web Tokens (HS256) that name the member and the session.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import jwt

_ID_BYTES = 16
_GENERATION_BYTES = 4
_REFRESH_SEAL_BYTES = 28  # claim and seal have 64 characters without padding
_TOKEN_BYTES = _ID_BYTES + hashlib.sha256().digest_size
TOKEN_CHARACTERS = _TOKEN_BYTES * 4 // 3

_ALGORITHM = "HS256"
_AUDIENCE = "member.v1"

VERIFY_EMAIL, RESET_PASSWORD = b"verify email", b"reset password"
"""The purposes of links."""


class TokenMint:
    """Makes the token of a link in a mail; the same link has the same token."""

    def __init__(self, key: bytes, purpose: bytes = VERIFY_EMAIL) -> None:
        """Derive the key for this *purpose* only from the service's *key*."""
        self._key = _derive_key(key, purpose)

    def token(self, link_id: UUID, email: str) -> str:
        """Return the token of the link that is sent to *email*: 64 characters, safe in a URL."""
        seal = hmac.digest(self._key, link_id.bytes + email.encode(), "sha256")
        return _encode(link_id.bytes + seal)


def fingerprint(token: str) -> bytes:
    """Return the SHA-256 of *token*; only this is stored."""
    return hashlib.sha256(token.encode()).digest()


def link_id(token: str) -> UUID | None:
    """Return the id of the link that *token* claims to be from; None if it is no token."""
    raw = _decode(token)
    return None if raw is None else UUID(bytes=raw[:_ID_BYTES])


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """The content of a genuine refresh token."""

    session_id: UUID
    generation: int


class RefreshMint:
    """Makes and reads refresh tokens; the same generation of a session has the same token."""

    def __init__(self, key: bytes) -> None:
        """Derive the key for this purpose only from the service's *key*."""
        self._key = _derive_key(key, b"refresh")

    def token(self, claim: RefreshClaim) -> str:
        """Return the token of *claim*, 64 characters."""
        body = claim.session_id.bytes + claim.generation.to_bytes(_GENERATION_BYTES)
        return _encode(body + self._seal(body))

    def read(self, token: str) -> RefreshClaim | None:
        """Return the content of *token*; None if it is not genuine."""
        raw = _decode(token)
        if raw is None:
            return None
        body, seal = raw[:-_REFRESH_SEAL_BYTES], raw[-_REFRESH_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(body)):
            return None
        return RefreshClaim(UUID(bytes=body[:_ID_BYTES]), int.from_bytes(body[_ID_BYTES:]))

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_REFRESH_SEAL_BYTES]


@dataclass(frozen=True, slots=True)
class AccessClaim:
    """The content of a genuine access token."""

    member_id: UUID
    session_id: UUID


class AccessMint:
    """Makes and reads access tokens."""

    def __init__(self, key: bytes) -> None:
        """Derive the key for this purpose only from the service's *key*."""
        self._key = _derive_key(key, b"access")

    def token(self, claim: AccessClaim, *, now: datetime, expires_at: datetime) -> str:
        """Return a token of *claim* that is valid until *expires_at*."""
        claims = {
            "aud": _AUDIENCE,
            "sub": str(claim.member_id),
            "sid": str(claim.session_id),
            "iat": now,
            "exp": expires_at,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read(self, token: str, *, now: datetime) -> AccessClaim | None:
        """Return the content of *token*; None if it is expired or not genuine."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                # The service's own clock checks the times, below.
                options={
                    "require": ["exp", "sub", "sid"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            claim = AccessClaim(UUID(claims["sub"]), UUID(claims["sid"]))
        except (jwt.InvalidTokenError, ValueError):
            return None
        return claim if now.timestamp() < claims["exp"] else None


def _derive_key(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"member.v1 " + purpose + b"\0", "sha256")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _decode(token: str) -> bytes | None:
    """Return the bytes of *token*; None if it is no token of 64 characters."""
    if len(token) != TOKEN_CHARACTERS:
        return None
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
