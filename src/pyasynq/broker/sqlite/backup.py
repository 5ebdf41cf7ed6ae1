"""Copy a file that is in use."""

import asyncio
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from pyasynq.broker.sqlite.connection import map_error
from pyasynq.broker.sqlite.files import sync_folder, uri_of
from pyasynq.broker.sqlite.store import Store
from pyasynq.broker.sqlite_url import SqliteAddress


class SqliteBackup:
    """The backup port; a memory has none."""

    def __init__(self, store: Store, path: Path) -> None:
        """Copy the file *path* of *store*."""
        self._store = store
        self._path = path

    async def write(self, file: Path) -> int:
        """Write what is stored now to the new file *file*; return its size, bytes."""
        await self._store.read(lambda tx: tx.rows("SELECT 1"))  # opens the file, or says why not
        return await asyncio.to_thread(_copy, self._path, file)


def _copy(source: Path, file: Path) -> int:
    if file.exists():
        raise FileExistsError(file)
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a copy that was killed
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with (
            closing(sqlite3.connect(uri_of(source), uri=True)) as old,
            closing(sqlite3.connect(part)) as new,
        ):
            old.backup(new)  # all pages in one step: others write into the log meanwhile
        part.rename(file)
        sync_folder(file.parent)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):  # the first error is raised, not this one
            part.unlink()
        raise map_error(error, SqliteAddress(path=file)) from error
    return file.stat().st_size
