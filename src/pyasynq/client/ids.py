"""Make ids of tasks and flows."""

import functools
import os
import time
from typing import Final

PARTS: Final = 4096
PART_SHIFT: Final = 8
"""Parts of a millisecond that an id tells apart, each of 256 ns."""

VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that marks a UUID, for each random digit."""


def new_ids(count: int) -> list[str]:
    """Return *count* UUIDs (version 7) as text, at most 256; one call reads all random bytes.

    They grow with time, so that a broker with an index of ids adds to its end. Go does not mind.
    """
    ms, ns = divmod(time.time_ns(), 1_000_000)
    part = ns >> PART_SHIFT
    if part + count > PARTS:
        ms, part = ms + 1, 0
    start = _start_of_ids(ms)
    digits = os.urandom(8 * count).hex()
    return [
        f"{start}{part + at // 16:03x}-{VARIANTS[digits[at]]}{digits[at + 1 : at + 4]}"
        f"-{digits[at + 4 : at + 16]}"
        for at in range(0, 16 * count, 16)
    ]


@functools.lru_cache(maxsize=1)
def _start_of_ids(ms: int) -> str:
    """Return the text with which the ids of a millisecond begin."""
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"
