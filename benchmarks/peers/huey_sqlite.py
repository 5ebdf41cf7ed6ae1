"""huey on a SQLite file: threads, which share one connection; every commit is synced."""

from huey import SqliteHuey

from benchmarks.peers.huey import HueyPeer


def connect(file: str) -> HueyPeer:
    """Return huey on *file*; ``fsync=True`` is ``PRAGMA synchronous = FULL``."""
    return HueyPeer(SqliteHuey("benchmarks", filename=file, fsync=True, results=False))
