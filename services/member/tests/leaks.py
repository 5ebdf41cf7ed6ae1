"""Read the output of a program, and find secrets in it in any form."""

import asyncio
import base64
import signal
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import pytest

from services.member.tests.programs import Program, output_of


class OutputReader:
    """Reads and keeps the output of a program."""

    def __init__(self, process: Program) -> None:
        self._process = process
        self.output = b""

    async def wait(self, text: bytes) -> None:
        """Read until the program prints *text*."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            async for line in self._process.stdout:
                self.output += line
                if text in line:
                    return
        pytest.fail(f"the program ended before it printed {text!r}: {self.output!r}")

    async def stop_and_read(self) -> bytes:
        """Stop the program; return all of its output."""
        self._process.send_signal(signal.SIGTERM)
        return self.output + await output_of(self._process)


def forms(secret: str) -> Iterator[bytes]:
    """Yield the forms that *secret* may have in a log."""
    data = secret.encode()
    yield from (data, quote(secret, safe="").encode(), data.hex().encode())
    for before in range(3):  # its base64 form depends on its position in a longer text
        encoded = base64.b64encode(b"." * before + data)[4 if before else 0 : -4]
        yield from (encoded, encoded.translate(bytes.maketrans(b"+/", b"-_")))


def find_leaks(output: bytes, secrets: Iterable[str]) -> list[str]:
    """Return those *secrets* that *output* contains."""
    return [secret for secret in secrets if any(form in output for form in forms(secret))]
