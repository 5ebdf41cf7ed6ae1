"""huey on a SQLite file that is never synced: a power cut may damage it."""

from huey import SqliteHuey

from benchmarks.peers.huey import HueyPeer


def connect(file: str) -> HueyPeer:
    """Return huey on *file*; ``fsync=False`` is ``PRAGMA synchronous = OFF``."""
    return HueyPeer(SqliteHuey("benchmarks", filename=file, fsync=False, results=False))
