"""Hash passwords with argon2id, a few at a time, off the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from argon2 import PasswordHasher


@dataclass(frozen=True, slots=True, kw_only=True)
class HashCost:
    """What one hash costs.

    Attributes:
        time: Passes over the memory.
        memory_kib: Memory of one hash, KiB.
        threads: Hashes at once; together they hold at most *threads* times the memory.
    """

    time: int
    memory_kib: int
    threads: int


class Passwords:
    """Hashes passwords in a pool of threads of a fixed size."""

    def __init__(self, cost: HashCost) -> None:
        """Start no thread yet; the caller closes it."""
        # One lane for each hash: the pool is what runs in parallel.
        self._hasher = PasswordHasher(
            time_cost=cost.time, memory_cost=cost.memory_kib, parallelism=1
        )
        self._pool = ThreadPoolExecutor(cost.threads, thread_name_prefix="password")

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of *password*, with its parameters and salt."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._hasher.hash, password)

    def close(self) -> None:
        """Drop what waits for a thread; what runs ends in a moment by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
