"""Hash passwords with argon2id, a few at a time, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from member.limits.keys import address_key
from member.turns import Turns

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
        self._turns = Turns(cost.threads, _WAITING * cost.threads)
        self._decoy = self._hasher.hash("")  # no password is empty

    async def hash(self, password: str, address: str = "") -> str:
        """Return the argon2id hash of *password*, with its parameters and salt.

        Args:
            password: What somebody at *address* gave.
            address: IP address; all have the same right to a thread.

        Raises:
            LimitedError: If too many wait for a thread.
        """
        return await self._off_the_loop(address, lambda: self._hasher.hash(password))

    async def fits(self, password: str, password_hash: str | None, address: str = "") -> bool:
        """Tell whether *password*, given by somebody at *address*, was hashed to *password_hash*.

        None, for a member that is not there, takes as long as any other and never fits.

        Raises:
            LimitedError: If too many wait for a thread.
        """
        compared = password_hash or self._decoy
        fits = await self._off_the_loop(
            address, lambda: _verified(self._hasher, compared, password)
        )
        return fits and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether *password_hash* was made at another cost than is set now."""
        return self._hasher.check_needs_rehash(password_hash)

    @property
    def waiting(self) -> int:
        """How many hashes wait for a thread."""
        return self._turns.waiting

    def close(self) -> None:
        """Drop what waits for a thread; what runs ends in a moment by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _off_the_loop(self, address: str, work: Callable[[], Answer]) -> Answer:
        await self._turns.take(address_key(address))
        job = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Also if the caller is gone by then: its thread is not free before.
        job.add_done_callback(lambda _: self._turns.give_back())
        return await asyncio.shield(job)


def _verified(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
    try:
        # Half a surrogate pair, which JSON can carry, is part of no password, and no error.
        return hasher.verify(password_hash, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
