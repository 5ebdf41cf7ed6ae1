"""Copy what was committed from the write-ahead log into the file, so that the log stays small.

SQLite would do this inside a commit, which would stop the event loop. Before version 3.51.3 its
passive checkpoints can also damage the file, if a commit restarts the log in the same instant
(sqlite.org, "The WAL-reset bug"). So a thread does it, in the mode that keeps writers away.
"""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from pyasynq.broker.sqlite.files import log_of, uri_of
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

MAX_LOG_BYTES: Final = 4 * 1024 * 1024
"""Size of the log above which it is copied; a commit then waits some 10 ms."""

COMMITS: Final = 16
"""Commits between two looks at the size of the log."""

WAIT_S: Final = 10.0
"""How long to wait until no other connection writes."""

TRY_S: Final = 0.2
"""How long SQLite waits at once: for writers, and then, while nobody can write, for readers.

A checkpoint that does not get the lock in this time is passive, and it had the lock just before.
"""

REST_S: Final = 5.0
"""Time until the next checkpoint after one that readers have held up, and with it all writers."""


class Checkpoints:
    """Starts a checkpoint when the log has grown; at most one at a time."""

    def __init__(self, path: Path | None) -> None:
        """Watch the log of the file *path*; memory has none."""
        self._path = path
        self._commits = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._not_before = 0.0

    def after_commit(self) -> None:
        """Start a checkpoint if the log has become too large."""
        self._commits += 1
        if self._commits < COMMITS or self._path is None:
            return
        self._commits = 0
        if self._thread is not None and self._thread.is_alive():
            return
        if time.monotonic() >= self._not_before and _log_size(self._path) > MAX_LOG_BYTES:
            name, args = "pyasynq-checkpoint", (self._path,)
            self._thread = threading.Thread(target=self._copy, args=args, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # Python ends, or the system has no more threads
                log.debug("the log of %s was not copied into the file: %s", self._path, error)
                self._thread = None

    def finish(self) -> None:
        """Wait until a running checkpoint has ended; one that still waits for writers gives up."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._stopping.clear()

    def _copy(self, path: Path) -> None:
        try:
            with closing(sqlite3.connect(uri_of(path), uri=True, timeout=TRY_S)) as connection:
                is_whole = self._has_had_lock(connection) and _copy_log(connection)
        except sqlite3.Error as error:  # the log stays large, so the next commits try again
            log.debug("the log of %s was not copied into the file: %s", path, error)
            is_whole = False
        if not is_whole:
            self._not_before = time.monotonic() + REST_S

    def _has_had_lock(self, connection: sqlite3.Connection) -> bool:
        """Return whether nobody else was writing at some moment in the next `WAIT_S`.

        It tries at least once, also if `finish` was called before this thread began.
        """
        give_up_at = time.monotonic() + WAIT_S
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            else:
                connection.execute("ROLLBACK")
                return True
            if time.monotonic() >= give_up_at or self._stopping.is_set():
                return False


def _copy_log(connection: sqlite3.Connection) -> bool:
    """Copy the log into the file; return whether all of it could be copied."""
    ((is_busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return not is_busy


def _log_size(path: Path) -> int:
    try:
        return log_of(path).stat().st_size
    except OSError:  # the next transaction tells why
        return 0
