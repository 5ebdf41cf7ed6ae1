"""A new file for each test."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Yield the path of a file that is not there yet; in the end SQLite finds no damage in it."""
    path = tmp_path / "tasks.db"
    yield path
    if path.is_file():
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def url(file: Path) -> str:
    """Return the URL of the file."""
    return f"sqlite:///{file}"
