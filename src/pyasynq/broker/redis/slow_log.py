"""What the slow log of Redis says about a command, without its arguments."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pyasynq.broker.ports.diagnosis import SlowCommand
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis.scripts import name_of

SHA_LETTERS: Final = 8
"""Letters that are shown of the hash of a script which is not ours."""

IN_SCRIPT: Final = b"?:0"
"""The address of what a script has called; the script is in the log, too."""

OURS: Final = "asynq:"
"""How our keys begin; those of other programs are not shown."""


def read_entries(answer: Sequence[Sequence[Any]]) -> list[SlowCommand]:
    """Return the commands in an answer to ``SLOWLOG GET``."""
    return [_read(*entry[1:6]) for entry in answer]


def _read(
    at_s: int, duration_us: int, words: Sequence[bytes], address: bytes, name: bytes
) -> SlowCommand:
    command, key = _describe([decode_name(word) for word in words])
    return SlowCommand(
        at=datetime.fromtimestamp(at_s, UTC),
        duration=timedelta(microseconds=duration_us),
        command=command,
        key=key if key.startswith(OURS) else "",
        client="" if address == IN_SCRIPT else decode_name(name or address),
    )


def _describe(words: Sequence[str]) -> tuple[str, str]:
    """Return the name of a command or script, and its first argument or key, if it has one."""
    name, arguments = words[0].upper(), words[1:]
    match name, arguments:
        case "EVALSHA", [sha, count, *keys]:
            ours = name_of(sha) or f"EVALSHA {sha[:SHA_LETTERS]}"
            return ours, keys[0] if keys and count != "0" else ""
        case "EVAL", [_, count, *keys]:
            return name, keys[0] if keys and count != "0" else ""
        case _:
            return name, arguments[0] if arguments else ""
