"""Make ids of tasks and flows."""

import functools
import os
import time
from typing import Final

PARTS: Final = 4096
PART_SHIFT: Final = 8
"""Parts of a millisecond that an id tells apart, each of 256 ns."""

TAIL: Final = 10
"""Bytes of an id after its millisecond: two with version and part, eight that are mostly random."""

FIXED: Final = b"\x70\x00\x80" + bytes(7)
RANDOM: Final = b"\x00\x00\x3f" + b"\xff" * 7
PART: Final = b"\x00\x01" + bytes(8)
"""In such a tail: the bits that mark a UUID of version 7, those that are random, and one part."""


def new_ids(count: int) -> list[str]:
    """Return *count* UUIDs (version 7) as text, at most 256; one call reads all random bytes.

    They grow with time, so that a broker with an index of ids adds to its end. Go does not mind.
    """
    ms, ns = divmod(time.time_ns(), 1_000_000)
    part = ns >> PART_SHIFT
    if part + count > PARTS:
        ms, part = ms + 1, 0
    start = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-"
    return [f"{start}{tail[:4]}-{tail[4:8]}-{tail[8:]}" for tail in _tails(count, part)]


def _tails(count: int, part: int) -> list[str]:
    """Return 20 hexadecimal digits for each of *count* ids; all are made as one large number."""
    fixed, random, parts = _numbers(count)
    number = fixed + part * parts + (int.from_bytes(os.urandom(TAIL * count)) & random)
    return number.to_bytes(TAIL * count).hex(" ", TAIL).split()


@functools.lru_cache(maxsize=2)
def _numbers(count: int) -> tuple[int, int, int]:
    """Return the large numbers of *count* tails: what is fixed, the random bits, and a part each.

    Each tail's part is one more than that of the tail before; that is fixed, too.
    """
    one_by_one = int.from_bytes(
        b"".join(number.to_bytes(2) + bytes(TAIL - 2) for number in range(count))
    )
    parts = int.from_bytes(PART * count)
    return int.from_bytes(FIXED * count) + one_by_one, int.from_bytes(RANDOM * count), parts
