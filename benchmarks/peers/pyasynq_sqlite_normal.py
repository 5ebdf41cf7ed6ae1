"""pyasynq on a SQLite file with ``synchronous=normal``: a power cut may lose the last tasks."""

from urllib.parse import quote

from benchmarks.peers.pyasynq import Pyasynq


def connect(file: str) -> Pyasynq:
    """Return pyasynq on *file*."""
    return Pyasynq(f"sqlite:///{quote(file)}?synchronous=normal")
