"""pyasynq on a SQLite file: a new task is on the disk when `enqueue` returns."""

from urllib.parse import quote

from benchmarks.peers.pyasynq import Pyasynq


def connect(file: str) -> Pyasynq:
    """Return pyasynq on *file*, with its default, ``synchronous=accept``."""
    return Pyasynq(f"sqlite:///{quote(file)}")
