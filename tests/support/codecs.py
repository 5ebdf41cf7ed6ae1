"""Codecs for tests: one compresses, one binds its text to the task, as a cipher does."""

import secrets
import zlib

from pyasynq import CodecContext

NONCE = 8


class Zlib:
    """A codec that compresses."""

    name = "zlib"

    def seal(self, payload: bytes, _context: CodecContext) -> bytes:
        return zlib.compress(payload)

    def open(self, payload: bytes, _context: CodecContext) -> bytes:
        return zlib.decompress(payload)


class Envelope:
    """A codec that adds a random nonce, the key and the context, and opens only if these match.

    Attributes:
        name: Its name.
        key: The key, which the reader needs, too.
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
