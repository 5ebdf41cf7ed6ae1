"""Open a SQLite file, and turn SQLite's errors into pyasynq's."""

import errno
import math
import os
import sqlite3
import sys
from pathlib import Path
from typing import Final

from pyasynq.broker.sqlite.files import log_of, make
from pyasynq.broker.sqlite.schema import migrate
from pyasynq.broker.sqlite_url import SqliteAddress
from pyasynq.core.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    OptionError,
)

OLDEST: Final = (3, 24, 0)
"""The first version that knows ``ON CONFLICT DO UPDATE``; newer SQL is not used."""

CACHE_KIB: Final = 16 * 1024
"""Memory for pages of the file, for each connection."""

STATEMENTS: Final = 512
"""Statements that a connection keeps prepared; lists of ids have up to 256 lengths."""

ROOM: Final = 64 * 1024
"""Bytes; if fewer can be written, a write that failed is said to have failed for want of room."""

NETWORK_FILESYSTEMS: Final = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
}
"""File systems by the number that Linux has for them (statfs(2)); their locks may not work."""


def check_version() -> None:
    """Return if Python's SQLite is new enough.

    Raises:
        OptionError: If it is not.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise OptionError("broker", f"SQLite {sqlite3.sqlite_version}", f"SQLite {needed} or later")


def create_file(path: Path, *, unsafe_filesystem: bool) -> None:
    """Make the file unless it exists; only its owner may read it.

    Raises:
        OSError: If that is not possible.
        OptionError: If the file would be on a file system whose locks do not work.
    """
    if not unsafe_filesystem:
        _check_filesystem(path)
    make(path)


def connect(address: SqliteAddress, *, sync: bool) -> sqlite3.Connection:
    """Return a connection to the file or to a new memory; with *sync* each commit is synced.

    Raises:
        sqlite3.Error: If SQLite refuses.
        OptionError: If the file is on a file system whose locks do not work.
        PermissionError: If the file may not be written. SQLite would open it to read, and keep to
            that for later connections of this process.
        BrokerError: If a later version of pyasynq has written the file.
    """
    path = address.path
    if path is not None and not address.unsafe_filesystem:
        _check_filesystem(path)
    if path is not None and path.exists() and not _may(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    connection = sqlite3.connect(
        ":memory:" if path is None else path,
        timeout=0,  # waiting for locks must not stop the event loop
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() not in {("wal",), ("memory",)}:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `checkpoint`
        migrate(connection, name=name_of(address))
    except BaseException:
        connection.close()
        raise
    return connection


def name_of(address: SqliteAddress) -> str:
    """Return what errors and logs call the file or the memory."""
    return "the memory" if address.path is None else str(address.path)


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection has the lock."""
    # The last is said when others have kept the log's locks for seconds, such as a stopped process.
    return _code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"))


def map_error(error: sqlite3.Error | OSError, address: SqliteAddress) -> BrokerError:
    """Return pyasynq's error for *error*."""
    text = f"SQLite: {name_of(address)}: {error}"
    code = _code(error)
    if isinstance(error, PermissionError) or (
        code.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY"))
        and _is_forbidden(address)
    ):
        return BrokerAuthError(text)
    if code.startswith("SQLITE_FULL") or (isinstance(error, OSError) and error.errno in _FULL):
        return BrokerFullError(text)
    if code.startswith("SQLITE_IOERR") and _has_no_room(address):
        return BrokerFullError(text)
    if code.startswith("SQLITE_READONLY"):
        return BrokerReadOnlyError(text)
    if isinstance(error, OSError) or code.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")):
        return BrokerUnavailableError(text)
    return BrokerError(text)


def breaks_connection(error: sqlite3.Error) -> bool:
    """Return whether a new connection may do better: the file is gone, moved, or was unreadable."""
    codes = (
        "SQLITE_CANTOPEN",
        "SQLITE_CORRUPT",
        "SQLITE_IOERR",
        "SQLITE_NOTADB",
        "SQLITE_READONLY",
    )
    return _code(error).startswith(codes)


def _code(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", "")


_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _has_no_room(address: SqliteAddress) -> bool:
    """Return whether the disk is full, or this process may not write longer files.

    SQLite does not tell why a write has failed, unless the disk was full.
    """
    path = address.path
    if path is None:
        return False
    longest = _longest_file()
    try:
        sizes = [file.stat().st_size for file in (path, log_of(path)) if file.exists()]
        free = free_bytes(path)
    except OSError:  # the folder is gone
        return False
    return free < ROOM or any(size + ROOM > longest for size in sizes)


def free_bytes(path: Path) -> int:
    """Return the free space of the disk that the file *path* is on, bytes.

    Raises:
        OSError: If the folder cannot be read.
    """
    disk = os.statvfs(path.resolve().parent)
    return disk.f_bavail * disk.f_frsize


def _longest_file() -> float:
    """Return how many bytes this process may write to a file (``ulimit -f``)."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def _is_forbidden(address: SqliteAddress) -> bool:
    """Return whether the rights of the file or its folder are the reason of an error."""
    path = address.path
    if path is None:
        return False
    if path.exists():
        return not (_may(path, os.R_OK | os.W_OK) and _may(path.parent, os.W_OK))
    return path.parent.exists() and not _may(path.parent, os.W_OK | os.X_OK)


def _may(path: Path, what: int) -> bool:
    is_known = os.access in os.supports_effective_ids
    return os.access(path, what, effective_ids=is_known)


def network_filesystem(path: Path) -> str:
    """Return the kind of network file system that a file is on; empty for any other one."""
    if sys.platform != "linux":
        return ""
    return NETWORK_FILESYSTEMS.get(_filesystem_number(path.resolve().parent), "")


def _check_filesystem(path: Path) -> None:
    if kind := network_filesystem(path):
        allowed = (
            f"a file on a local disk, not on {kind}, whose locks do not work between machines"
            " (add ?unsafe_filesystem=1 if they do)"
        )
        raise OptionError("broker", str(path.parent), allowed)


def _filesystem_number(folder: Path) -> int:
    """Return the number of the file system of *folder*; 0 if it is not known."""
    import ctypes

    buffer = ctypes.create_string_buffer(512)  # larger than any struct statfs
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(folder), buffer):
        return 0
    word = ctypes.c_long.from_buffer(buffer).value
    return word & 0xFFFFFFFF
