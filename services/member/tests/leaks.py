"""What a program says and keeps, and whether a secret stands in it in any form."""

import asyncio
import base64
import signal
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import pytest

from services.member.tests.programs import Program, output_of


class Ear:
    """Hears what a program says, and keeps it."""

    def __init__(self, process: Program) -> None:
        self._process = process
        self.heard = b""

    async def wait(self, text: bytes) -> None:
        """Return when the program has said *text*, from now on."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            async for line in self._process.stdout:
                self.heard += line
                if text in line:
                    return
        pytest.fail(f"the program ended before it said {text!r}: {self.heard!r}")

    async def hear_out(self) -> bytes:
        """Stop the program; return all that it said."""
        self._process.send_signal(signal.SIGTERM)
        return self.heard + await output_of(self._process)


def forms(secret: str) -> Iterator[bytes]:
    """Yield what *secret* may look like in a log."""
    data = secret.encode()
    yield from (data, quote(secret, safe="").encode(), data.hex().encode())
    for before in range(3):  # where it begins in a longer text decides which form base64 has
        encoded = base64.b64encode(b"." * before + data)[4 if before else 0 : -4]
        yield from (encoded, encoded.translate(bytes.maketrans(b"+/", b"-_")))


def leaked(said: bytes, secrets: Iterable[str]) -> list[str]:
    """Return those *secrets* that stand in what was *said*."""
    return [secret for secret in secrets if any(form in said for form in forms(secret))]
