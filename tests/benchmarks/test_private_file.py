"""The SQLite file of a measurement."""

import sqlite3
from contextlib import closing

from benchmarks import private_file


async def test_its_size_includes_what_is_in_the_log() -> None:
    async with private_file.start() as file:
        assert file.size_bytes() == 0
        with closing(sqlite3.connect(file.address, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t AS SELECT zeroblob(100000)")
            assert file.size_bytes() > 100_000


async def test_it_is_deleted_afterwards() -> None:
    async with private_file.start() as file:
        with closing(sqlite3.connect(file.address)) as connection:
            connection.execute("CREATE TABLE t(x)")
        assert file.size_bytes() > 0
    assert file.size_bytes() == 0
