"""pyasynq on a SQLite file with ``synchronous=full``: verdicts are on the disk, too."""

from urllib.parse import quote

from benchmarks.peers.pyasynq import Pyasynq


def connect(file: str) -> Pyasynq:
    """Return pyasynq on *file*."""
    return Pyasynq(f"sqlite:///{quote(file)}?synchronous=full")
