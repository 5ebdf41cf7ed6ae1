"""The files of a database by their names: the file itself, its log and its shared memory.

SQLite finds log and shared memory by their names. If somebody deletes, moves or replaces a file
that is in use, they stay, and SQLite would take them for those of the next file of this name.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

if sys.platform != "win32":
    import fcntl

Identity: TypeAlias = tuple[int, int]
"""Numbers of a disk and of a file on it: a name may come to stand for another file."""


def log_of(path: Path) -> Path:
    """Return the path of the log: beside the file itself, whatever links lead to it."""
    file = path.resolve()
    return file.with_name(f"{file.name}-wal")


def uri_of(path: Path) -> str:
    """Return the URI with which SQLite opens the file *path*, but makes none if there is none."""
    return f"{path.as_uri()}?mode=rw"


def identity(path: Path) -> Identity | None:
    """Return which file has the name *path*; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def make(path: Path) -> None:
    """Make an empty file, unless there is one; only its owner may read it.

    Raises:
        OSError: If that is not possible.
    """
    path = path.resolve()  # a link may lead to a file that is not there
    with _locked(path.parent):
        if path.exists():
            return
        _remove_log(path)
        # Never open an existing file: closing it would drop the locks that SQLite has on it.
        with suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
            os.close(os.open(path, flags, 0o600))


def remove_log(path: Path, log: Identity | None) -> None:
    """Remove the log of a file that was at *path*, if it is still *log*.

    Raises:
        OSError: If that is not possible.
    """
    path = path.resolve()
    with _locked(path.parent):
        if log is not None and identity(log_of(path)) == log:
            _remove_log(path)


def sync_folder(folder: Path) -> None:
    """Write the names in *folder* to the disk, after which a power cut does not undo a rename.

    Raises:
        OSError: If the disk refuses.
    """
    if sys.platform == "win32":  # folders cannot be opened there
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _remove_log(path: Path) -> None:
    for end in ("-shm", "-wal"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Keep other processes out of this module; they need microseconds."""
    if sys.platform == "win32":  # nobody can delete or move a file that is in use
        yield
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
