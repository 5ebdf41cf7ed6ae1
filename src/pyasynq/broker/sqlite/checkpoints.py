"""Copy what was committed from the write-ahead log into the file, so that the log stays small.

SQLite would do this inside a commit, which would stop the event loop. Before version 3.51.3 its
passive checkpoints can also damage the file, if a commit restarts the log in the same instant
(sqlite.org, "The WAL-reset bug"). So a thread does it, in the mode that keeps writers away.
"""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

MAX_LOG_BYTES: Final = 4 * 1024 * 1024
"""Size of the log above which it is copied; a commit then waits some 10 ms."""

COMMITS: Final = 16
"""Commits between two looks at the size of the log."""

WAIT_S: Final = 10.0
"""How long to wait until no other connection writes; without the lock a checkpoint is passive."""


class Checkpoints:
    """Starts a checkpoint when the log has grown; at most one at a time."""

    def __init__(self, path: Path | None) -> None:
        """Watch the log of the file *path*; memory has none."""
        self._path = None if path is None else path.resolve()  # the log is beside the file itself
        self._commits = 0
        self._thread: threading.Thread | None = None

    def after_commit(self) -> None:
        """Start a checkpoint if the log has become too large."""
        self._commits += 1
        if self._commits < COMMITS or self._path is None:
            return
        self._commits = 0
        if self._thread is not None and self._thread.is_alive():
            return
        if _log_size(self._path) > MAX_LOG_BYTES:
            name, args = "pyasynq-checkpoint", (self._path,)
            self._thread = threading.Thread(target=_copy, args=args, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # Python ends, or the system has no more threads
                log.debug("the log of %s was not copied into the file: %s", self._path, error)
                self._thread = None

    def finish(self) -> None:
        """Wait until a running checkpoint has ended."""
        if self._thread is not None:
            self._thread.join()


def _log_size(path: Path) -> int:
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:  # the next transaction tells why
        return 0


def _copy(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")  # waits for the lock, or fails
            connection.execute("ROLLBACK")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:  # the log stays large, so the next commits try again
        log.debug("the log of %s was not copied into the file: %s", path, error)
