"""How much memory this process has."""

import os
from pathlib import Path
from typing import Final

STATM: Final = Path("/proc/self/statm")


def read_memory() -> int:
    """Return the bytes of memory that this process has resident; not on Windows.

    They include pages that it shares with others, such as libraries, but not its child processes.
    On macOS, which does not tell the current number, this is the highest so far.
    """
    if STATM.exists():
        resident = int(STATM.read_text().split()[1])
        return resident * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
