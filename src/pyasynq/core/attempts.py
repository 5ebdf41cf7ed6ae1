"""What is kept of the failed tries of a task: when, where, the error and its traceback.

All tries of a task together take at most `MAX_BYTES`. Each has a slot of its own, so a new one
replaces the oldest without anybody reading the others.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

MOST_ATTEMPTS: Final = 5
"""Tries of a task that are kept."""

MAX_BYTES: Final = 16 * 1024
"""Bytes of all tries of a task."""

MAX_ATTEMPT_BYTES: Final = MAX_BYTES // MOST_ATTEMPTS

MAX_ERROR_CHARACTERS: Final = 500
"""Characters of an error's text; the task's last error has up to 8,192."""

LONGEST_READ: Final = 100_000
"""Characters of a traceback that are looked at; an error may have a text of any length."""

ESCAPED: Final = 6
"""Bytes that a character takes at most in JSON, for each byte of UTF-8: ``\\u0000``."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One failed try of a task.

    Attributes:
        retried: Retries that were spent before it; 0 for the first try.
        failed_at: When it failed, UTC.
        error: Text of the error, at most 500 characters.
        traceback: Its traceback from the handler on, without local variables; of a long one the
            first and the last lines. Empty if there is none, for example because the worker died.
        worker: Host and process id of the worker, joined by a colon; empty if it is not known.
    """

    retried: int
    failed_at: datetime
    error: str
    traceback: str = ""
    worker: str = ""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A failed try as it is stored with its task.

    Attributes:
        slot: Where it is stored; a later try with the same number replaces it.
        data: The encoded `Attempt`.
    """

    slot: int
    data: bytes


def record_attempt(attempt: Attempt, keep: int) -> AttemptRecord:
    """Return the record of *attempt*, of which a task keeps the last *keep*, at least 1."""
    return AttemptRecord(slot=attempt.retried % keep, data=_encode(attempt))


def _encode(attempt: Attempt) -> bytes:
    """Return at most `MAX_ATTEMPT_BYTES`; the traceback is cut to fit."""
    error, text = _utf8(attempt.error[:MAX_ERROR_CHARACTERS]), _utf8(attempt.traceback)
    if len(text) > LONGEST_READ:
        text = f"{text[: LONGEST_READ // 2]}\n{text[-LONGEST_READ // 2 :]}"
    room = min(len(text), MAX_ATTEMPT_BYTES)
    while True:
        shorter = shorten_middle(text, room)
        data = msgspec.json.encode(msgspec.structs.replace(attempt, error=error, traceback=shorter))
        over = len(data) - MAX_ATTEMPT_BYTES
        if over <= 0 or not room:
            return data
        room = max(0, room - max(over // ESCAPED, 1))


def decode_attempts(records: Iterable[bytes | None]) -> tuple[Attempt, ...]:
    """Return the tries in *records*, the oldest first, without those that cannot be decoded."""
    attempts: list[Attempt] = []
    for record in filter(None, records):
        try:
            attempts.append(msgspec.json.decode(record, type=Attempt))
        except msgspec.DecodeError:
            continue
    return tuple(sorted(attempts, key=lambda attempt: attempt.failed_at))


def shorten_middle(text: str, most: int) -> str:
    """Return *text* with at most *most* characters: its first third, and its last two thirds.

    Whole lines are left out where that is possible, and a line says how many.
    """
    if len(text) <= most:
        return text
    lines = text.splitlines(keepends=True)
    note = f"  … {len(lines)} lines …\n"
    room = most - len(note)
    if room <= 0:
        return text[:most]
    first = _fitting(lines, room // 3)
    last = _fitting(reversed(lines[len(first) :]), room - sum(map(len, first)))[::-1]
    left_out = len(lines) - len(first) - len(last)
    if not last:  # a single line does not fit
        return text[:most]
    return "".join([*first, f"  … {left_out} lines …\n", *last])


def _fitting(lines: Iterable[str], most: int) -> list[str]:
    fitting: list[str] = []
    for line in lines:
        most -= len(line)
        if most < 0:
            break
        fitting.append(line)
    return fitting


def _utf8(text: str) -> str:
    """Return *text* without characters that UTF-8 cannot encode."""
    return text.encode(errors="replace").decode()
