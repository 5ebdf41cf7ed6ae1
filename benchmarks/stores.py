"""What a contender keeps its tasks in during one measurement."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from benchmarks import private_file, private_redis
from benchmarks.roster import StoreKind


class Store(Protocol):
    """A Redis or a SQLite file."""

    @property
    def address(self) -> str:
        """Where contenders find it: ``host:port``, or a path."""

    def size_bytes(self) -> int:
        """Return the size of what it holds: memory of Redis, or bytes of the file."""

    def cpu_us(self) -> tuple[float, ...]:
        """Return the CPU time of the server and of its main thread, µs; nothing without one."""


def start(kind: StoreKind) -> AbstractAsyncContextManager[Store]:
    """Provide an empty store, and delete it afterwards."""
    match kind:
        case "redis":
            return private_redis.start()
        case "sqlite":
            return private_file.start()
