"""Tokens of verification links: opaque, unguessable, made again for a retry but never stored.

A token is the id of its verification (random, 128 bits) and an HMAC-SHA256 of id and
address under the service's key. Whoever has the database has only its SHA-256, and
whoever has no key cannot make one; a worker that repeats a task after a crash makes
the same token again, so the second mail carries the link of the first.
"""

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

_PURPOSE = b"member.v1 verify email\0"
_ID_BYTES = 16
_TOKEN_BYTES = _ID_BYTES + hashlib.sha256().digest_size
TOKEN_CHARACTERS = _TOKEN_BYTES * 4 // 3


class TokenMint:
    """Makes the token of a verification, always the same one."""

    def __init__(self, key: bytes) -> None:
        """Derive the key for this purpose alone from the service's *key*."""
        self._key = hmac.digest(key, _PURPOSE, "sha256")

    def token(self, verification_id: UUID, email: str) -> str:
        """Return the token that verifies *email*, 64 characters that fit a URL."""
        seal = hmac.digest(self._key, verification_id.bytes + email.encode(), "sha256")
        return base64.urlsafe_b64encode(verification_id.bytes + seal).decode()


def fingerprint(token: str) -> bytes:
    """Return the SHA-256 of *token*, all of it that is stored."""
    return hashlib.sha256(token.encode()).digest()


def verification_id(token: str) -> UUID | None:
    """Return which verification *token* claims to be of, or None for what is no token."""
    if len(token) != TOKEN_CHARACTERS:
        return None
    try:
        return UUID(bytes=base64.b64decode(token, altchars=b"-_", validate=True)[:_ID_BYTES])
    except (ValueError, binascii.Error):
        return None
