"""A SQLite file for one measurement: new, and on a disk."""

import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "results"
"""The folder of the files: the system's folder for temporary files may be memory."""

PAGE: Final = bytes(4096)
SYNCS: Final = 100


@dataclass(frozen=True, slots=True)
class File:
    """A file that a contender creates.

    Attributes:
        address: Its absolute path.
    """

    address: str

    def size_bytes(self) -> int:
        """Return its size, bytes; write SQLite's log into it first."""
        if not Path(self.address).exists():
            return 0
        with contextlib.closing(sqlite3.connect(self.address)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(self.address).stat().st_size

    def cpu_us(self) -> tuple[()]:
        """Return nothing, because there is no server."""
        return ()


@contextlib.asynccontextmanager
async def start() -> AsyncIterator[File]:
    """Name a file that does not exist, in a folder of its own."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sqlite-", dir=FOLDER) as home:
        yield File(str(Path(home) / "tasks.db"))


def measure_sync_ms() -> float:
    """Return how long the disk takes to sync a page at the end of a file, median, ms."""
    delays: list[float] = []
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        for _ in range(SYNCS):
            os.write(file.fileno(), PAGE)
            began = time.perf_counter()
            os.fsync(file.fileno())
            delays.append((time.perf_counter() - began) * 1e3)
    return statistics.median(delays)
