"""Make ids of tasks and flows."""

import functools
import os
import time
from typing import Final

PARTS: Final = 4096
PART_SHIFT: Final = 8
"""Parts of a millisecond that an id tells apart, each of 256 ns."""

VARIANT: Final = b"\x80" + bytes(7)
RANDOM: Final = b"\x3f" + b"\xff" * 7
"""The bits of the second half of an id that mark a UUID, and those that are random."""


def new_ids(count: int) -> list[str]:
    """Return *count* UUIDs (version 7) as text, at most 256; one call reads all random bytes.

    They grow with time, so that a broker with an index of ids adds to its end. Go does not mind.
    """
    ms, ns = divmod(time.time_ns(), 1_000_000)
    part = ns >> PART_SHIFT
    if part + count > PARTS:
        ms, part = ms + 1, 0
    start = _start_of_ids(ms)
    return [
        f"{start}{number:03x}-{half[:4]}-{half[4:]}"
        for number, half in enumerate(_second_halves(count), part)
    ]


def _second_halves(count: int) -> list[str]:
    """Return 16 hexadecimal digits for each of *count* ids; all are made as one large number."""
    variants, random = _masks(count)
    number = int.from_bytes(os.urandom(8 * count)) & random | variants
    return number.to_bytes(8 * count).hex(" ", 8).split()


@functools.lru_cache(maxsize=2)
def _masks(count: int) -> tuple[int, int]:
    return int.from_bytes(VARIANT * count), int.from_bytes(RANDOM * count)


@functools.lru_cache(maxsize=1)
def _start_of_ids(ms: int) -> str:
    """Return the text with which the ids of a millisecond begin."""
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"
