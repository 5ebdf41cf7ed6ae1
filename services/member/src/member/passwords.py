"""Hash passwords with argon2id, a few at a time, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from member.errors import LimitedError

Answer = TypeVar("Answer")

# For each thread. More would wait for longer than their callers do, and keep out who comes later.
_WAITING = 32


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
        self._threads = cost.threads
        self._asked = 0
        self._decoy = self._hasher.hash("")  # no password is empty

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of *password*, with its parameters and salt.

        Raises:
            LimitedError: If too many wait for a thread.
        """
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def fits(self, password: str, password_hash: str | None) -> bool:
        """Tell whether *password* was hashed to *password_hash*.

        None, for a member that is not there, takes as long as any other and never fits.

        Raises:
            LimitedError: If too many wait for a thread.
        """
        compared = password_hash or self._decoy
        fits = await self._off_the_loop(lambda: _verified(self._hasher, compared, password))
        return fits and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether *password_hash* was made at another cost than is set now."""
        return self._hasher.check_needs_rehash(password_hash)

    @property
    def waiting(self) -> int:
        """How many hashes wait for a thread."""
        return max(0, self._asked - self._threads)

    def close(self) -> None:
        """Drop what waits for a thread; what runs ends in a moment by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _off_the_loop(self, work: Callable[[], Answer]) -> Answer:
        if self.waiting >= _WAITING * self._threads:
            raise LimitedError(timedelta(seconds=1))
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._asked -= 1


def _verified(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
    try:
        # Half a surrogate pair, which JSON can carry, is part of no password, and no error.
        return hasher.verify(password_hash, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
