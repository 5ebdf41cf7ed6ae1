"""Commands are written in C, with the bytes that the driver would write."""

import pytest
from redis.asyncio import Connection

from pyasynq.broker.redis.dialing import TcpConnection


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("SET", "name", b"\xff\x00 bytes", 7, -1.5, 1e22),
        ("CONFIG GET", "maxmemory"),
        (b"SCRIPT LOAD", "return 1"),
        ("SET", "Größe", ""),
        ("SET", "large", b"x" * 100_000),
    ],
    ids=["name only", "every type", "two words", "bytes", "more than ASCII", "large"],
)
def test_a_command_has_the_same_bytes_as_the_drivers(
    command: tuple[str | bytes | float, ...],
) -> None:
    ours, theirs = TcpConnection(), Connection()
    assert b"".join(ours.pack_command(*command)) == b"".join(theirs.pack_command(*command))


def test_a_text_with_surrogates_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        TcpConnection().pack_command("GET", "\udcff")


def test_what_is_no_text_or_number_is_refused() -> None:
    with pytest.raises(TypeError):
        TcpConnection().pack_command("GET", object())
