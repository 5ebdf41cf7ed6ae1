"""Codecs for tests: one compresses, one binds what it seals to its task, as ciphers do."""

import secrets
import zlib

from pyasynq import CodecContext

NONCE = 8


class Zlib:
    """Compress."""

    name = "zlib"

    def seal(self, payload: bytes, _context: CodecContext) -> bytes:
        return zlib.compress(payload)

    def open(self, payload: bytes, _context: CodecContext) -> bytes:
        return zlib.decompress(payload)


class Envelope:
    """Put a random nonce, the key and the context around, and take off only what fits.

    Attributes:
        name: Its name.
        key: What the reader must have, too.
    """

    def __init__(self, name: str = "envelope", key: bytes = b"key") -> None:
        """Seal with *key*."""
        self.name = name
        self.key = key

    def seal(self, payload: bytes, context: CodecContext) -> bytes:
        return secrets.token_bytes(NONCE) + self._label(context) + payload[::-1]

    def open(self, payload: bytes, context: CodecContext) -> bytes:
        label = self._label(context)
        if payload[NONCE:][: len(label)] != label:
            msg = "wrong key"
            raise ValueError(msg)
        return payload[NONCE + len(label) :][::-1]

    def _label(self, context: CodecContext) -> bytes:
        of = f"{context.type}/{context.queue}/{context.id}/{context.part}/"
        return self.key + of.encode()
